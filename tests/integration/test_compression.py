"""Compression: the gateway never agrees to it, so no client can make it decompress anything."""

from tests.gateway import Gateway

OFFERS = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


async def test_an_offer_to_compress_is_not_taken_up(gateway: Gateway) -> None:
    """The upgrade succeeds without it, and messages arrive uncompressed."""
    client = await gateway.handshake(headers=OFFERS)
    assert b"sec-websocket-extensions" not in client.head.lower()
    assert (await client.receive())["type"] == "connected"


async def test_a_frame_that_claims_to_be_compressed_is_refused(gateway: Gateway) -> None:
    """An extension that was not negotiated is a protocol error."""
    client = await gateway.handshake(headers=OFFERS)
    client.write(b"\xc1\x82\x00\x00\x00\x00{}")
    assert (await client.closed())[0] == 1002
