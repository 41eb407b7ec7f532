"""Pages of other origins: what they may read, and how OPTIONS answers their browsers."""

import pytest

from percolator.gateway import static
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

PAGE = "https://app.example"
ORIGIN = f"Origin: {PAGE}\r\n"
OPEN = ["/health", "/health/live", "/markets", "/markets/NONE", "/ws/stats", "/metrics"]


async def shared_with(gateway: Gateway, path: str, headers: str = ORIGIN) -> str | None:
    """Return for which origin an answer is; None if for no other than the gateway's own."""
    return (await gateway.get(path, headers))[1].get("access-control-allow-origin")


async def preflight(
    gateway: Gateway, path: str, origin: str = PAGE
) -> tuple[int, dict[str, str], bytes]:
    """Ask as a browser does before a page's GET with a token."""
    fields = f"Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n"
    fields += "Access-Control-Request-Headers: authorization\r\n"
    return await gateway.request(f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())


@pytest.mark.parametrize("path", OPEN)
async def test_without_allowed_origins_any_page_may_read_what_is_open(
    gateway: Gateway, path: str
) -> None:
    """As any page may open a WebSocket."""
    assert await shared_with(gateway, path) == "*"
    assert await shared_with(gateway, path, "") == "*"


@pytest.mark.parametrize("path", OPEN)
async def test_with_allowed_origins_only_their_pages_may_read_what_is_open(
    start_gateway: StartGateway, path: str
) -> None:
    """Caches keep the answers for each origin apart, also those that no page may read."""
    gateway = await start_gateway(allowed_origins=f"{PAGE}, https://*.example.com, null")
    for origin in (PAGE, "https://a.b.example.com", "null"):
        _, headers, _ = await gateway.get(path, f"Origin: {origin}\r\n")
        assert headers["access-control-allow-origin"] == origin
        assert headers["vary"] == "Origin"
    for fields in ("Origin: https://evil.example\r\n", ORIGIN * 2, ""):
        _, headers, _ = await gateway.get(path, fields)
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


async def test_a_star_in_allowed_origins_is_any_origin(start_gateway: StartGateway) -> None:
    """For pages that connect and for pages that read."""
    gateway = await start_gateway(allowed_origins="*")
    assert await shared_with(gateway, "/markets") == "*"
    await gateway.handshake(headers={"Origin": PAGE})


async def test_no_page_may_read_the_counters_if_they_have_a_token(
    start_gateway: StartGateway,
) -> None:
    """It is the operator's; the other routes are not affected."""
    gateway = await start_gateway(stats_token="secret", allowed_origins=PAGE)
    token = f"{ORIGIN}Authorization: Bearer secret\r\n"
    for path in ("/ws/stats", "/metrics"):
        assert await shared_with(gateway, path) is None
        assert (await gateway.get(path, token))[0] == 200
        assert await shared_with(gateway, path, token) is None
        assert "access-control-allow-origin" not in (await preflight(gateway, path))[1]
    assert await shared_with(gateway, "/markets") == PAGE


async def test_a_page_may_read_the_markets_with_a_token_and_why_it_is_refused_without(
    start_gateway: StartGateway,
) -> None:
    """The token is what protects them: browsers add none by themselves."""
    gateway = await start_gateway(auth=True, auth_secret="s" * 32, allowed_origins=PAGE)
    status, headers, _ = await gateway.get("/markets", ORIGIN)
    assert (status, headers["access-control-allow-origin"]) == (401, PAGE)
    assert "access-control-allow-credentials" not in headers
    status, headers, _ = await preflight(gateway, "/markets")
    assert (status, headers["access-control-allow-origin"]) == (204, PAGE)
    assert "Authorization" in headers["access-control-allow-headers"]


async def test_a_page_may_read_that_it_asks_too_often_and_when_to_ask_again(
    start_gateway: StartGateway,
) -> None:
    """Otherwise it could not tell a refusal from a dead network."""
    gateway = await start_gateway(request_burst=1, requests_per_second=0.001, allowed_origins=PAGE)
    assert (await gateway.get("/markets", ORIGIN))[0] == 200
    status, headers, _ = await gateway.get("/markets", ORIGIN)
    assert (status, headers["access-control-allow-origin"]) == (429, PAGE)
    assert headers["access-control-expose-headers"] == "ETag, Retry-After"


async def test_files_are_shared_as_before(start_gateway: StartGateway) -> None:
    """Any page may import the client, which holds no data; none may read the dashboard."""
    gateway = await start_gateway(allowed_origins=PAGE)
    for path in static.served():
        shared = await shared_with(gateway, path, "Origin: https://evil.example\r\n")
        assert shared == ("*" if path.startswith("/percolator") else None), path


@pytest.mark.parametrize("path", [*OPEN, "/", "/ws", "/percolator.js", "/nothing", "*"])
async def test_options_is_answered_with_204_and_the_methods(gateway: Gateway, path: str) -> None:
    """At every path, with or without an Origin."""
    for fields in ("", ORIGIN):
        request = f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()
        status, headers, body = await gateway.request(request)
        assert (status, headers["allow"], body) == (204, "GET, HEAD, OPTIONS", b"")
        assert "content-length" not in headers


@pytest.mark.parametrize("path", OPEN)
async def test_a_preflight_allows_get_and_head_with_a_token_for_two_hours(
    start_gateway: StartGateway, path: str
) -> None:
    """To pages that may read the path, and to no others."""
    gateway = await start_gateway(allowed_origins=PAGE)
    status, headers, _ = await preflight(gateway, path)
    sent = {name: value for name, value in headers.items() if name.startswith("access-control-")}
    assert status == 204
    assert sent == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "Authorization, *",
        "access-control-max-age": "7200",
        "access-control-expose-headers": "ETag, Retry-After",
    }
    status, headers, _ = await preflight(gateway, path, "https://evil.example")
    assert status == 204
    assert not [name for name in headers if name.startswith("access-control-")]


async def test_options_has_the_limits_of_get(start_gateway: StartGateway) -> None:
    """It counts as a request, and its host is checked."""
    gateway = await start_gateway(
        request_burst=1, requests_per_second=0.001, allowed_hosts="feed.example"
    )
    assert (await preflight(gateway, "/markets"))[0] == 421
    assert (await preflight(gateway, "/markets"))[0] == 429
    assert (await preflight(gateway, "/health"))[0] == 204
