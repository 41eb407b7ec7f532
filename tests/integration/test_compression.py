"""Compression: never agreed to, whatever a client offers, so that nobody can make it expand."""

from tests.gateway import Gateway

OFFERS = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


async def test_an_offer_to_compress_is_not_taken_up(gateway: Gateway) -> None:
    """The upgrade goes on without it, and messages come as they are."""
    client = await gateway.knock(headers=OFFERS)
    assert b"sec-websocket-extensions" not in client.head.lower()
    assert (await client.receive())["type"] == "connected"


async def test_a_frame_that_claims_to_be_compressed_is_refused(gateway: Gateway) -> None:
    """What was not agreed on is a breach of the protocol."""
    client = await gateway.knock(headers=OFFERS)
    client.write(b"\xc1\x82\x00\x00\x00\x00{}")
    assert (await client.closed())[0] == 1002
