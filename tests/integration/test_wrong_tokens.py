"""Wrong tokens: what happens to an address that sends many, and that good ones are accepted."""

import pytest

from percolator.gateway import sweep
from percolator.gateway.admission import FAILURE_BURST
from tests.client import upgrade
from tests.gateway import Gateway, eventually
from tests.integration.authenticating import (
    SECRET,
    WAYS,
    authenticated,
    by_query,
    token,
)
from tests.integration.conftest import StartGateway


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that requires tokens."""
    return await start_gateway(auth=True, auth_secret=SECRET)


async def test_an_address_that_guesses_tokens_is_refused_with_each_wrong_one(
    gateway: Gateway,
) -> None:
    """429 for a wrong token in the upgrade, 1008 after one in a message; good ones are accepted."""
    first, second, third = [await gateway.client() for _ in range(3)]
    for _ in range(FAILURE_BURST):
        assert (await authenticated(first, "junk"))["code"] == "unauthorized"
    assert (await authenticated(second, "junk"))["code"] == "unauthorized"
    assert await second.closed() == (1008, "too many wrong tokens from this address")
    status, headers, body = await gateway.request(upgrade("/ws?token=junk"))
    assert (status, headers["retry-after"]) == (429, "1")
    assert body == b"Too many wrong tokens from this address; wait a second.\n"
    assert (await authenticated(third, token()))["type"] == "authenticated"
    for way in WAYS:
        client = await way(gateway, token())
        assert (await client.receive())["type"] == "authenticated"
    assert first.close_received is None
    assert gateway.service.stats.refused == {"wrong tokens": 1}


async def test_a_good_token_after_too_many_wrong_ones_keeps_its_connection(
    gateway: Gateway,
) -> None:
    """If it comes before the close."""
    client = await gateway.client()
    for _ in range(FAILURE_BURST + 1):
        client.send({"type": "auth", "token": "junk"})
    client.send({"type": "auth", "token": token()})
    *_, reply = await client.receive_until_type("authenticated")
    assert reply["channels"] == ["*"]
    sweeps = gateway.service.gateway.clock() + 2 * sweep.SWEEP_SECONDS
    await eventually(lambda: gateway.service.gateway.clock() > sweeps)
    await client.receive_until_pong()


async def test_wrong_tokens_in_plain_requests_keep_no_good_token_out(gateway: Gateway) -> None:
    """A page of another site can make a browser send as many as it likes."""
    statuses = [(await gateway.get("/markets?token=junk"))[0] for _ in range(FAILURE_BURST + 3)]
    assert statuses == [401] * FAILURE_BURST + [429] * 3
    assert (await gateway.get("/markets"))[0] == 401
    assert (await gateway.get(f"/markets?token={token()}"))[0] == 200
    client = await by_query(gateway, token())
    assert (await client.receive())["type"] == "authenticated"
    refused = await by_query(gateway, "junk")
    assert (await refused.receive())["code"] == "unauthorized"
    await refused.receive_until_pong()
