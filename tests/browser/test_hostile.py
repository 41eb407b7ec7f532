"""The dashboard shows any content of an event or a response as text."""

import json

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_dashboard import NONE, SOON, a_market, shows, tape
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = "<img src=x onerror=document.title='taken'>"


async def assert_unharmed(page: Page) -> None:
    """Check that no markup became an element or a script."""
    assert await page.locator("main img, main script, main b:not(#last)").count() == 0
    assert "taken" not in await page.title()


async def test_names_that_are_special_in_javascript_are_ordinary_markets(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Each has its own row, chart and tape."""
    names = ["-", "W" * 64, "__proto__", "constructor", "hasOwnProperty", "toString"]
    for size, name in enumerate(names):
        await gateway.publish("trade", name, size=str(size))
        seq = await gateway.publish("price", name, price=1 + size)
    await gateway.has_read(seq)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    rows = page.locator("#markets tbody tr")
    await expect(rows.locator("th")).to_have_text(names, timeout=SOON)
    for size, name in enumerate(names):
        await rows.nth(size).locator("button").click()
        await shows(page, "#market-name", name)
        await shows(page, "#last", f"{1 + size}.0000")
        assert await tape(page, 1) == [str(size)]
    fits = "document.scrollingElement.scrollWidth <= innerWidth"
    assert await page.evaluate(fits)


async def test_markup_in_a_message_is_shown_as_text(gateway: Gateway, open_page: OpenPage) -> None:
    """The test sends messages in the gateway's name, with markup in every field."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page("about:blank")
    sockets: list[WebSocketRoute] = []

    async def intercept(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    await page.route_web_socket("**/ws", intercept)
    await page.goto(f"http://127.0.0.1:{gateway.port}/#SOL")
    await tape(page, 1)
    trade = {"type": "trade", "slab": "SOL", "prev": 0}
    values: tuple[dict[str, object], ...] = (
        {"side": MARKUP, "size": MARKUP, "price": MARKUP, "timestamp": MARKUP},
        {"side": "long", "size": "9" * 39, "price": 1e300, "timestamp": 2**53 - 1},
        {"side": "long", "size": "1", "price": 5e-324, "timestamp": -(2**53)},
    )
    for seq, fields in enumerate(values, 1_000):
        sockets[0].send(json.dumps({**trade, **fields, "seq": seq}))
    price = {"type": "price", "slab": "SOL", "markPrice": MARKUP, "timestamp": 0}
    for seq, value in enumerate((MARKUP, 1e18, 1e18 + 128, 5e-324, 1.7e308), 2_000):
        sockets[0].send(json.dumps({**price, "price": value, "seq": seq}))
    sockets[0].send(json.dumps({"type": "funding", "slab": "SOL", "rate": MARKUP, "seq": 3_000}))
    sockets[0].send(
        json.dumps({"type": "gap", "channel": "trades:SOL", "from": MARKUP, "to": 2_000})
    )
    sockets[0].send(json.dumps({"type": "error", "code": MARKUP, "message": MARKUP}))
    sockets[0].send(MARKUP)
    await shows(page, "#last", "1.7000e+308")
    await shows(page, "#funding", NONE)
    assert await tape(page, 4) == ["1,500,000", NONE, "9.999e38", "1"]
    await assert_unharmed(page)


async def test_markup_in_a_response_is_shown_as_text(gateway: Gateway, open_page: OpenPage) -> None:
    """Responses of the routes are shown as text, and one of another form breaks nothing."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page("about:blank")
    event = {"price": MARKUP, "markPrice": MARKUP, "rate": MARKUP, "seq": 1}
    market = {"price": event, "funding": event, "trade": event}

    async def markets(route: Route) -> None:
        body = {"epoch": MARKUP, "markets": {MARKUP: market, "SOL": market, "X": {}}}
        await route.fulfill(json=body)

    async def stats(route: Route) -> None:
        response = await route.fetch()
        body = {**await response.json(), "connectionsPerSlab": {MARKUP: 3}}
        body |= {"totalConnections": MARKUP, "clientsBehind": MARKUP}
        await route.fulfill(json=body)

    await page.route("**/markets", markets)
    await page.route("**/ws/stats", stats)
    await page.goto(f"http://127.0.0.1:{gateway.port}/")
    await shows(page, "#busiest-small", MARKUP)
    await shows(page, "#connections", f"{NONE} / 1,000")
    await expect(page.locator("#markets tbody th")).to_have_text(["SOL", "X"])
    await shows(page, "#last", "146.2500")
    await assert_unharmed(page)


async def test_a_response_that_lacks_what_the_page_shows_breaks_nothing(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """An older gateway has fewer fields; the page shows that it does not know them."""
    page = await open_page("about:blank")

    async def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        bodies = {"stats": {"totalConnections": 7}, "markets": {}, "health": {"checks": None}}
        await route.fulfill(json=bodies[name])

    for path in ("**/ws/stats", "**/markets", "**/health"):
        await page.route(path, answer)
    await page.goto(f"http://127.0.0.1:{gateway.port}/")
    await shows(page, "#connections", f"7 / {NONE}")
    await shows(page, "#asof", f"up {NONE}")
