"""Limits on connections and subscriptions: what is refused, and when places become free again."""

from tests.client import Client, upgrade
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

FULL = (1008, "too many connections")
FULL_HERE = (1008, "too many connections from this address")
FULL_MARKET = (1008, "too many clients on this market")

Headers = dict[str, str]


def forwarded(*forwarded_for: str) -> Headers:
    """Return the header that a proxy sets."""
    return {"X-Forwarded-For": ", ".join(forwarded_for)}


async def refused(
    gateway: Gateway, headers: Headers | None = None, **options: str
) -> tuple[int, str]:
    """Connect when there is no place; return the close that follows the upgrade."""
    client = await gateway.handshake(headers=headers, **options)
    close = await client.closed()
    assert client.texts == []
    await client.gone()
    return close


async def admitted(gateway: Gateway, headers: Headers | None = None, **options: str) -> Client:
    """Connect when there is a place."""
    client = await gateway.handshake(headers=headers, **options)
    assert (await client.receive())["type"] == "connected"
    return client


async def leave(gateway: Gateway, client: Client) -> None:
    """Disconnect, and wait until the gateway has noticed."""
    before = len(gateway.service.gateway.connections)
    client.abort()
    await eventually(lambda: len(gateway.service.gateway.connections) < before)


async def test_one_connection_too_many_is_closed_after_the_upgrade(
    start_gateway: StartGateway,
) -> None:
    """With 1008 and the reason; when a place becomes free, the next client is admitted."""
    gateway = await start_gateway(max_connections=2)
    first, _ = await gateway.clients(2)
    assert await refused(gateway) == FULL
    await leave(gateway, first)
    await admitted(gateway)
    assert await refused(gateway) == FULL
    stats = await gateway.stats()
    assert stats["totalConnections"] == 2
    assert stats["rejectedConnections"] == {"too many connections": 2}
    assert stats["closed"] == {"1006": 1, "1008": 2}


async def test_one_connection_too_many_from_an_address_is_closed(
    start_gateway: StartGateway,
) -> None:
    """Other addresses are admitted; when a place becomes free, so is this address."""
    gateway = await start_gateway(max_connections_per_ip=2)
    first, _ = await gateway.clients(2)
    assert await refused(gateway) == FULL_HERE
    await admitted(gateway, local="127.0.0.2")
    await leave(gateway, first)
    await admitted(gateway)
    assert await refused(gateway) == FULL_HERE
    assert gateway.service.admission.places.by_address == {"127.0.0.1": 2, "127.0.0.2": 1}


async def test_a_client_behind_a_trusted_proxy_is_counted_by_its_own_address(
    start_gateway: StartGateway,
) -> None:
    """By the rightmost address that is not a trusted proxy; those left of it may be forged."""
    gateway = await start_gateway(
        max_connections_per_ip=1, trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"]
    )
    await admitted(gateway, forwarded("203.0.113.1"))
    await admitted(gateway, forwarded("203.0.113.2"))
    for forged in (
        forwarded("203.0.113.1"),
        forwarded("198.51.100.7", "203.0.113.1"),
        forwarded("198.51.100.7", "203.0.113.1", "10.1.2.3"),
        forwarded("::ffff:203.0.113.1"),
        forwarded("203.0.113.1:4711"),
    ):
        assert await refused(gateway, forged) == FULL_HERE


async def test_several_headers_of_a_proxy_are_one_list(start_gateway: StartGateway) -> None:
    """A client that sends the header itself is not counted by what it wrote."""
    gateway = await start_gateway(max_connections_per_ip=1, trusted_proxies=["127.0.0.1"])
    await admitted(gateway, forwarded("203.0.113.1"))
    client = await gateway.dial()
    line = b"X-Forwarded-For: 198.51.100.7\r\n"
    head = upgrade(headers=forwarded("203.0.113.1"))
    client.write(head.replace(b"X-Forwarded-For", line + b"X-Forwarded-For"))
    assert await client.closed() == FULL_HERE


async def test_ipv6_clients_behind_a_proxy_are_counted_by_their_network(
    start_gateway: StartGateway,
) -> None:
    """A /64 belongs to one client, the next /64 to another."""
    gateway = await start_gateway(max_connections_per_ip=1, trusted_proxies=["127.0.0.1"])
    await admitted(gateway, forwarded("2001:db8::1"))
    assert await refused(gateway, forwarded("2001:db8::ffff:2")) == FULL_HERE
    await admitted(gateway, forwarded("2001:db8:0:1::1"))


async def test_the_clients_of_an_ipv6_network_are_limited_together(
    start_gateway: StartGateway,
) -> None:
    """A /56 has 4 times the places of a /64, a /48 has 16 times; the next /48 has its own."""
    gateway = await start_gateway(max_connections_per_ip=1, trusted_proxies=["127.0.0.1"])
    for number in range(4):
        await admitted(gateway, forwarded(f"2001:db8:0:{number:x}::1"))
    assert await refused(gateway, forwarded("2001:db8:0:4::1")) == FULL_HERE
    for number in range(4, 16):
        await admitted(gateway, forwarded(f"2001:db8:0:{number:x}00::1"))
    assert await refused(gateway, forwarded("2001:db8:0:ff00::1")) == FULL_HERE
    client = await admitted(gateway, forwarded("2001:db8:1::1"))
    assert (await gateway.stats())["totalConnections"] == 17
    assert len(gateway.service.admission.places.by_address) == 17
    await leave(gateway, client)
    await admitted(gateway, forwarded("2001:db8:1::2"))


async def test_ipv4_inside_ipv6_is_counted_as_that_ipv4(start_gateway: StartGateway) -> None:
    """Mapped, by 6to4, or by NAT64."""
    gateway = await start_gateway(max_connections_per_ip=1, trusted_proxies=["127.0.0.1"])
    await admitted(gateway, forwarded("203.0.113.1"))
    for same in ("::ffff:203.0.113.1", "2002:cb00:7101::1", "64:ff9b::203.0.113.1"):
        assert await refused(gateway, forwarded(same)) == FULL_HERE


async def test_too_many_plain_requests_are_refused(start_gateway: StartGateway) -> None:
    """With 429, counted per address and apart from upgrades; health checks are not counted."""
    gateway = await start_gateway(requests_per_second=0.001, request_burst=3)
    for path in ("/markets", "/", "/nothing"):
        assert (await gateway.get(path))[0] in (200, 404)
    for path in ("/markets", "/", "/nothing", "/ws/stats", "/metrics"):
        status, headers, body = await gateway.get(path)
        assert (status, headers["retry-after"]) == (429, "1")
        assert body == b"Too many requests from this address; wait a second.\n"
    for path in ("/health", "/health/live"):
        assert (await gateway.get(path))[0] == 200
    await gateway.client("price:SOL")
    assert gateway.service.stats.refused == {"requests": 5}
    other = await gateway.dial(local="127.0.0.2")
    other.write(b"GET /markets HTTP/1.1\r\nHost: x\r\n\r\n")
    await other.answered()
    assert other.head.startswith(b"HTTP/1.1 200 ")


async def test_a_forwarded_header_from_an_untrusted_peer_is_ignored(
    start_gateway: StartGateway,
) -> None:
    """Without trusted proxies each client is counted by the address of its socket."""
    gateway = await start_gateway(max_connections_per_ip=1)
    await admitted(gateway, forwarded("203.0.113.1"))
    assert await refused(gateway, forwarded("203.0.113.2")) == FULL_HERE


async def test_too_many_attempts_are_refused_before_the_upgrade(
    start_gateway: StartGateway,
) -> None:
    """With 429, counted per address; plain requests are not attempts."""
    gateway = await start_gateway(attempts_per_second=0.001, attempt_burst=3)
    for _ in range(3):
        await admitted(gateway)
    status, headers, _ = await gateway.request(upgrade())
    assert (status, headers["retry-after"]) == (429, "1")
    await admitted(gateway, local="127.0.0.2")
    assert (await gateway.stats())["rejectedConnections"] == {"attempts": 1}


async def test_a_refused_connection_counts_as_an_attempt(start_gateway: StartGateway) -> None:
    """A client that is refused for lack of a place cannot retry without limit."""
    gateway = await start_gateway(attempts_per_second=0.001, attempt_burst=3, max_connections=1)
    await admitted(gateway)
    assert await refused(gateway) == FULL
    assert await refused(gateway) == FULL
    assert (await gateway.request(upgrade()))[0] == 429


async def test_a_client_without_a_place_on_its_only_market_is_closed(
    start_gateway: StartGateway,
) -> None:
    """The error names the channel, the close gives the reason."""
    gateway = await start_gateway(max_connections_per_slab=2)
    await gateway.clients(2, "price:SOL")
    client = await gateway.client()
    client.subscribe("trades:SOL", id=5)
    error = await client.receive()
    assert error == {
        "type": "error",
        "code": "slab_limit",
        "message": "the market's client limit is reached",
        "channel": "trades:SOL",
        "id": 5,
    }
    assert await client.closed() == FULL_MARKET
    await client.gone()
    assert (await gateway.stats())["connectionsPerSlab"] == {"SOL": 2}


async def test_a_client_with_a_place_on_another_market_stays(start_gateway: StartGateway) -> None:
    """It gets an error for each channel of the full market, and keeps the rest."""
    gateway = await start_gateway(max_connections_per_slab=1)
    await gateway.client("price:SOL")
    client = await gateway.client()
    client.subscribe("price:SOL", "price:BTC")
    error, reply = await client.receive_many(2)
    assert (error["code"], error["channel"]) == ("slab_limit", "price:SOL")
    assert reply["channels"] == ["price:BTC"]
    client.subscribe("trades:SOL")
    assert (await client.receive())["code"] == "slab_limit"
    assert [message["type"] for message in await client.receive_until_pong()] == ["pong"]


async def test_a_client_counts_once_on_a_market(start_gateway: StartGateway) -> None:
    """However many of its channels it follows; on a full market it may still add one."""
    gateway = await start_gateway(max_connections_per_slab=1)
    client = await gateway.client("price:SOL")
    (reply,) = await client.subscribed("trades:SOL", "funding:SOL")
    assert reply["channels"] == ["trades:SOL", "funding:SOL"]
    assert (await gateway.stats())["connectionsPerSlab"] == {"SOL": 1}


async def test_a_place_on_a_market_becomes_free_with_the_last_channel(
    start_gateway: StartGateway,
) -> None:
    """Not before; and also when the client disconnects without a close frame."""
    gateway = await start_gateway(max_connections_per_slab=1)
    first = await gateway.client("price:SOL", "trades:SOL")
    second = await gateway.client("price:BTC")
    first.send({"type": "unsubscribe", "channels": ["price:SOL"]})
    await first.receive_until_type("unsubscribed")
    second.subscribe("price:SOL")
    assert (await second.receive())["code"] == "slab_limit"
    first.send({"type": "unsubscribe", "slabAddress": "SOL"})
    await first.receive_until_type("unsubscribed")
    await second.subscribed("price:SOL")
    await leave(gateway, second)
    await gateway.client("price:SOL", "price:BTC")


async def test_the_legacy_form_does_not_bypass_the_market_limit(
    start_gateway: StartGateway,
) -> None:
    """It gets one error for each of its three channels, and the same close."""
    gateway = await start_gateway(max_connections_per_slab=1)
    await gateway.client("price:SOL")
    client = await gateway.client()
    client.send({"type": "subscribe", "slabAddress": "SOL"})
    assert [(error["code"], error["channel"]) for error in await client.receive_many(3)] == [
        ("slab_limit", "price:SOL"),
        ("slab_limit", "trades:SOL"),
        ("slab_limit", "funding:SOL"),
    ]
    assert await client.closed() == FULL_MARKET


async def test_a_message_that_names_more_channels_than_a_client_may_have_is_one_error(
    start_gateway: StartGateway,
) -> None:
    """However long the list is, and whether or not its channels are valid."""
    gateway = await start_gateway(max_channels_per_client=3)
    client = await gateway.client("price:A")
    client.subscribe(*(f"bad{number}" for number in range(300)))
    error = await client.receive()
    assert (error["code"], error.get("channel")) == ("channel_limit", None)
    assert error["message"] == "a message may name up to 3 channels"


async def test_each_channel_over_the_limit_of_a_client_gets_an_error(
    start_gateway: StartGateway,
) -> None:
    """The channels before it are followed; an unsubscribe makes room."""
    gateway = await start_gateway(max_channels_per_client=4)
    client = await gateway.client("price:A", "price:B")
    client.subscribe("price:C", "price:D", "price:E", "price:A")
    *errors, reply = await client.receive_until_type("subscribed")
    assert [(error["code"], error["channel"]) for error in errors] == [("channel_limit", "price:E")]
    assert reply["channels"] == ["price:C", "price:D", "price:A"]
    client.send({"type": "subscribe", "slabAddress": "F"})
    errors = await client.receive_many(3)
    assert {error["code"] for error in errors} == {"channel_limit"}
    client.send({"type": "unsubscribe", "channels": ["price:B"]})
    await client.receive_until_type("unsubscribed")
    await client.subscribed("price:D")
