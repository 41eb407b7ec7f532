"""HTTP on the gateway's port: routes, refusals, and request heads that are late, long or wrong."""

import asyncio
import json
import random
from http import HTTPStatus

import pytest

from percolator.gateway import static
from tests.client import Client, frame, upgrade
from tests.gateway import Gateway, eventually, starting
from tests.integration.conftest import StartGateway
from tests.nats_server import NatsServer

HEAD_LIMIT = 8_192
AT = 1_234_567_890_123
TAG = static.served()["/"].headers["ETag"].encode()


async def still_serves(gateway: Gateway) -> bool:
    """Whether the gateway serves a client that behaves."""
    await gateway.client("price:SOL")
    return (await gateway.get("/health/live"))[0] == 200


async def test_health_is_ok_if_every_check_is(gateway: Gateway) -> None:
    """The answer has each check and the gateway's seq."""
    seq = await gateway.publish("price", "SOL")
    await gateway.has_read(seq)
    assert await gateway.get_json("/health") == {
        "status": "ok",
        "seq": seq,
        "checks": {"state": {"ok": True}, "nats": {"ok": True}, "feed": {"ok": True}},
    }
    assert await gateway.get_json("/health/live") == {"status": "ok"}


async def test_a_gateway_is_alive_but_not_ready_until_its_state_is_loaded(
    nats_process: NatsServer,
) -> None:
    """Until NATS is up, /health is 503 with the reasons, and clients are closed with 1013."""
    nats_process.kill()
    async with starting(nats_process.url, "PERCOLATOR") as gateway:
        assert (await gateway.get("/health/live"))[0] == 200
        status, _, body = await gateway.get("/health")
        health = json.loads(body)
        assert (status, health["status"]) == (503, "unavailable")
        assert health["checks"]["state"]["reason"]
        assert health["checks"]["nats"]["reason"]
        client = await gateway.handshake()
        assert await client.closed() == (1013, "not ready, try again later")
        await client.gone()
        assert gateway.service.stats.refused == {"not ready": 1}
        nats_process.start()
        await gateway.service.ready()
        assert (await gateway.get("/health"))[0] == 200
        await gateway.client("price:SOL")


async def test_markets_show_the_state_folded_from_the_events(gateway: Gateway) -> None:
    """Last price, mark, index, rate and trade, each with seq and timestamp."""
    price = await gateway.publish("price", "SOL", price=1.5, markPrice=1.6, timestamp=AT + 7)
    trade = await gateway.publish("trade", "SOL", side="short", size="3", price=2, timestamp=AT)
    rate = await gateway.publish("funding", "BTC", rate="-0.1", timestamp=AT + 9)
    await gateway.has_read(rate)
    sol = {
        "slab": "SOL",
        "price": {"price": 1.5, "markPrice": 1.6, "indexPrice": None, "openInterest": None}
        | {"timestamp": AT + 7, "seq": price},
        "trade": {"side": "short", "size": "3", "price": 2.0, "timestamp": AT, "seq": trade},
    }
    unknown = {"intervalHours": None, "nextFundingTime": None}
    btc = {"slab": "BTC", "funding": {"rate": "-0.1", **unknown, "timestamp": AT + 9, "seq": rate}}
    assert await gateway.get_json("/markets/SOL") == sol
    assert await gateway.get_json("/markets") == {
        "epoch": gateway.service.hub.book.epoch,
        "seq": rate,
        "markets": {"BTC": btc, "SOL": sol},
    }


@pytest.mark.parametrize(
    "path", ["/nothing", "//", "/markets/NONE", "/markets/", "/ws/stats/", "/../etc/passwd"]
)
async def test_an_unknown_path_is_404(gateway: Gateway, path: str) -> None:
    """Even if it is hardly a path at all."""
    status, headers, body = await gateway.get(path)
    assert (status, headers["content-length"]) == (404, str(len(body)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "BREW"])
async def test_any_method_but_get_head_and_options_is_405(gateway: Gateway, method: str) -> None:
    """At every path; the answer names the methods that are allowed."""
    for path in ("/", "/ws", "/ws/stats", "/nothing"):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        status, headers, _ = await gateway.request(request)
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_post_with_a_body_is_405(gateway: Gateway) -> None:
    """Whatever its body."""
    head = b"POST /ws/stats HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    assert (await gateway.request(head + b"x" * 5_000))[0] == 405


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/2\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nbad name : x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: x\n\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n\r\n",
        bytes(range(256)) + b"\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_400(gateway: Gateway, head: bytes) -> None:
    """The body explains it, and no other client is affected."""
    status, headers, body = await gateway.request(head)
    assert status == HTTPStatus.BAD_REQUEST
    assert headers["content-length"] == str(len(body))
    assert b"Traceback" not in body
    assert await still_serves(gateway)


PATHS = ["//", "///", "/%", "/%00", "/?", "?", "*", "http://x/ws", "/\xff", "/" + "a" * 7_000]


@pytest.mark.parametrize("host", ["", "[", "[::1", "a b", ":::", "\xff", "x:99999999", "@", "//"])
async def test_a_strange_path_or_host_is_answered(gateway: Gateway, host: str) -> None:
    """An upgrade or a plain request gets some HTTP status, and the gateway keeps running."""
    for path in PATHS:
        plain = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
        assert (await gateway.request(plain))[0] in (200, 400, 404, 426)
        client = await gateway.dial()
        client.write(upgrade(path.encode().decode("latin-1"), {"Host": host}))
        await client.answered()
        assert client.head.split()[1] in (b"101", b"400", b"404")


@pytest.mark.usefixtures("short_deadlines")
async def test_random_garbage_is_answered_or_cut_off_and_affects_no_other_client(
    gateway: Gateway,
) -> None:
    """200 heads, each a request with some of its bytes replaced, inserted or removed."""
    dice = random.Random(7)  # noqa: S311 - the same garbage each time
    clients = []
    for _ in range(200):
        head = bytearray(upgrade())
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(head))
            head[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        client = await gateway.dial()
        client.write(bytes(head))
        clients.append(client)
    for client in clients:
        await client.answered()
        if not client.head.startswith(b"HTTP/1.1 101"):
            await client.gone()
    assert await still_serves(gateway)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "!" * 24}, 400),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Sec-WebSocket-Protocol": "a b"}, 400),
    ],
)
async def test_an_invalid_upgrade_is_refused_in_http(
    gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    """The status says what is wrong."""
    assert (await gateway.request(upgrade(headers=headers)))[0] == status


async def test_an_upgrade_at_another_path_is_404(gateway: Gateway) -> None:
    """WebSockets are served at / and /ws."""
    for path in ("/markets/SOL/ws", "/ws//", "//ws", "/ws/x"):
        assert (await gateway.request(upgrade(path)))[0] == 404


async def test_a_slash_after_ws_changes_nothing(gateway: Gateway) -> None:
    """Neither for an upgrade nor for a plain request."""
    client = await gateway.handshake("/ws/?token=x")
    assert (await client.receive())["type"] == "connected"
    assert (await gateway.get("/ws/"))[0] == 426


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
        upgrade(headers={"Connection": "close"}),
        upgrade(headers={"Upgrade": "h2c"}),
        upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["no upgrade", "no connection", "another upgrade", "HTTP/1.0"],
)
async def test_a_plain_request_at_ws_is_426_and_names_the_settings_of_proxies(
    gateway: Gateway, request_head: bytes
) -> None:
    """A proxy that does not pass the upgrade on is the usual cause."""
    status, headers, body = await gateway.request(request_head)
    assert (status, headers["upgrade"], headers["connection"]) == (
        426,
        "websocket",
        "close, Upgrade",
    )
    for setting in (
        b"nginx with proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade",
        b"and proxy_set_header Connection $http_connection",
        b"Apache with upgrade=websocket",
        b"HAProxy and Caddy do without a setting",
    ):
        assert setting in body


async def test_a_response_ends_the_connection(gateway: Gateway) -> None:
    """It has `Connection: close`, and anything sent after the request is ignored."""
    second = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    _, headers, body = await gateway.request(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + second)
    assert headers["connection"] == "close"
    assert body == b"There is nothing at this path.\n"
    await eventually(lambda: not gateway.service.gateway.connections)


HEAD_PATHS = ["/", "/health", "/health/live", "/markets", "/metrics", "/ws/stats", "/percolator.js"]


@pytest.mark.parametrize("path", [*HEAD_PATHS, "/ws", "/nothing", "/markets/NONE"])
async def test_head_is_answered_as_get_without_the_body(gateway: Gateway, path: str) -> None:
    """The same status and headers, with the length that the body would have."""
    status, headers, body = await gateway.get(path)
    assert body
    head = await gateway.request(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    varying = {"date", "content-length"} if path in ("/metrics", "/ws/stats") else {"date"}
    assert head[0] == status
    assert head[1].keys() == headers.keys()
    assert {name for name in headers if head[1][name] != headers[name]} <= varying
    assert int(head[1]["content-length"]) > 0
    assert head[2] == b""


async def test_head_of_health_is_503_while_the_gateway_is_not_ready(
    nats_process: NatsServer,
) -> None:
    """Load balancers check with HEAD."""
    nats_process.kill()
    async with starting(nats_process.url, "PERCOLATOR") as gateway:
        request = b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await gateway.request(request))[::2] == (503, b"")
        nats_process.start()
        await gateway.service.ready()
        assert (await gateway.request(request))[::2] == (200, b"")


async def test_a_refusal_of_head_has_no_body_either(start_gateway: StartGateway) -> None:
    """Malformed, too long, over a limit, without a token, or for a file that has not changed."""
    gateway = await start_gateway(request_burst=2, requests_per_second=0.001, stats_token="secret")
    long = b"HEAD / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT
    for head, status in (
        (b"HEAD / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (long, 431),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 401),
        (b"HEAD / HTTP/1.1\r\nIf-None-Match: " + TAG + b"\r\n\r\n", 304),
        (b"HEAD / HTTP/1.1\r\n\r\n", 429),
    ):
        assert (await gateway.request(head))[::2] == (status, b"")


async def test_head_is_no_upgrade(gateway: Gateway) -> None:
    """Whatever headers it has."""
    request = upgrade().replace(b"GET", b"HEAD")
    assert (await gateway.request(request))[::2] == (426, b"")


ABSOLUTE = ["http://x/markets", "HTTP://x:80/markets?a=b", "https://x/markets", "ws://x/markets"]


@pytest.mark.parametrize("target", ABSOLUTE)
async def test_an_absolute_target_is_answered_as_its_path(gateway: Gateway, target: str) -> None:
    """As proxies for clients send it."""
    status, headers, body = await gateway.get(target)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == (await gateway.get("/markets"))[2]


async def test_a_websocket_opens_with_an_absolute_target(gateway: Gateway) -> None:
    """With a query too, or with no path, which is /."""
    for target in ("ws://x/ws?a=b", "http://x", "http://x?a=b", "http://x/"):
        client = await gateway.handshake(target)
        assert (await client.receive())["type"] == "connected"


def padded(size: int) -> bytes:
    """Return a request head of exactly `size` bytes."""
    start, end = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Padding: ", b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


async def test_a_head_of_8_kib_is_read(gateway: Gateway) -> None:
    """Up to the last byte of the limit."""
    assert (await gateway.request(padded(HEAD_LIMIT)))[0] == 200


@pytest.mark.parametrize("size", [HEAD_LIMIT + 1, 100_000])
async def test_a_longer_head_is_refused(gateway: Gateway, size: int) -> None:
    """Without waiting for its end."""
    assert (await gateway.request(padded(size)))[0] == 431
    assert (await gateway.request(padded(size)[: HEAD_LIMIT + 1]))[0] == 431


async def test_a_head_may_arrive_byte_by_byte(gateway: Gateway) -> None:
    """In as many segments as it has bytes."""
    client = await gateway.dial()
    for byte in upgrade():
        client.write(bytes([byte]))
        await asyncio.sleep(0)
    await client.opened()
    assert (await client.receive())["type"] == "connected"


async def test_a_client_may_send_frames_before_the_upgrade_is_answered(gateway: Gateway) -> None:
    """Head and first frames arrive in one segment, and a frame may be split in two."""
    client = await gateway.dial()
    ping = frame(b'{"type":"ping","id":1}')
    client.write(upgrade() + ping + ping[:5])
    await client.opened()
    assert [message["type"] for message in await client.receive_many(2)] == ["connected", "pong"]
    client.write(ping[5:])
    assert (await client.receive())["type"] == "pong"


async def slowly(client: Client, text: bytes) -> None:
    """Send a byte at a time, slowly, until the other side closes."""
    for byte in text:
        if client.lost is not False:
            return
        client.write(bytes([byte]))
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("short_deadlines")
async def test_a_head_that_never_ends_is_cut_off_at_its_deadline(
    gateway: Gateway,
) -> None:
    """However steadily it drips; other clients are served in the meantime."""
    silent = [await gateway.dial() for _ in range(20)]
    dripping = [await gateway.dial() for _ in range(20)]
    drips = [asyncio.create_task(slowly(client, upgrade() * 9)) for client in dripping]
    assert await still_serves(gateway)
    for client in (*silent, *dripping):
        await client.gone()
        assert not client.head
    await asyncio.gather(*drips)


@pytest.mark.usefixtures("short_deadlines")
async def test_a_response_that_is_not_read_is_cut_off_too(gateway: Gateway) -> None:
    """A client that gets its response and leaves its side open holds no socket for long."""
    client = await gateway.dial()
    client.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.answered()
    await eventually(lambda: not gateway.service.gateway.connections)
