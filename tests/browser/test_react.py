"""The React hooks of docs/clients.md, compiled with tsc, in Chromium with React's StrictMode."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.browser.conftest import BLANK, OpenPage, StartGateway
from tests.docs.typescript import compiled
from tests.gateway import Gateway, eventually
from tests.npm import needs_typescript

MODULES = Path("/usr/share/nodejs")
SCRIPTS = [MODULES / name / "umd" / f"{name}.development.js" for name in ("react", "react-dom")]
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    needs_typescript,
    pytest.mark.skipif(
        not all(path.exists() for path in SCRIPTS),
        reason="needs React, from node-react and node-react-dom",
    ),
]

IMPORTS = '{ "imports": { "react": "/app/hooks.js", "percolator-client": "/percolator.js" } }'
HOOKS = "export const { useEffect, useState } = React;"
START = """async () => {
    const { Market } = await import("/app/Market.js");
    const { StrictMode, createElement, useEffect } = React;
    globalThis.mounts = 0;
    const Probe = () => useEffect(() => { mounts += 1; }, []) ?? null;
    const root = ReactDOM.createRoot(document.body.appendChild(document.createElement("main")));
    globalThis.show = (props) => {
        const inner = [createElement(Market, props), createElement(Probe)];
        root.render(createElement(StrictMode, null, ...inner));
    };
    globalThis.leave = () => root.unmount();
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the application, by their names."""
    out = compiled(tmp_path_factory.mktemp("app"))
    files = {name: out / name for name in ("feed.js", "Market.js")}
    return {name: path.read_text() for name, path in files.items()} | {"hooks.js": HOOKS}


async def opened(open_page: OpenPage, gateway: Gateway, app: dict[str, str]) -> Page:
    """Open the application, which shows nothing yet."""

    async def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        await route.fulfill(body=app[name], content_type="text/javascript")

    page = await open_page(address(gateway) + BLANK)
    await page.route("**/app/*", serve)
    await page.add_script_tag(content=IMPORTS, type="importmap")
    for script in SCRIPTS:
        await page.add_script_tag(path=script)
    await page.evaluate(START)
    return page


def address(gateway: Gateway) -> str:
    """Return the gateway's URL."""
    return f"http://127.0.0.1:{gateway.port}"


async def show(page: Page, gateway: Gateway, market: str) -> None:
    """Render the component with an address and a market."""
    await page.evaluate("(props) => show(props)", {"url": address(gateway), "name": market})


async def shown(page: Page, heading: str, *trades: str) -> None:
    """Wait until the component shows a heading, the state `live` and these trades."""
    await page.wait_for_function(
        """(expected) => JSON.stringify(expected) === JSON.stringify(
            [...document.querySelectorAll("h1, p, li")].map((each) => each.textContent))""",
        arg=[heading, "live", *trades],
    )


async def followed(gateway: Gateway, connections: int, *channels: str) -> None:
    """Wait until the gateway has that number of connections, and followers of no other channel."""

    def counts() -> dict[str, Any]:
        logs = gateway.service.hub.book.logs.values()
        return {log.channel.name: len(log.followers) for log in logs if log.followers}

    def holds() -> bool:
        here = len(gateway.service.gateway.connections)
        return here == connections and counts() == dict.fromkeys(channels, 1)

    await eventually(holds)


async def test_the_react_component_shows_the_latest_price_and_the_trades(
    gateway: Gateway, open_page: OpenPage, app: dict[str, str]
) -> None:
    """The past ones too, newest first; StrictMode leaves one connection and one subscription."""
    await gateway.publish("price", "SOL", price=1.5)
    await gateway.publish("trade", "SOL", side="long", size="1", price=1.25)
    await gateway.has_read(await gateway.publish("trade", "SOL", side="short", size="2", price=1.5))
    page = await opened(open_page, gateway, app)
    await show(page, gateway, "SOL")
    await shown(page, "SOL 1.5", "short 2 at 1.5", "long 1 at 1.25")
    await gateway.publish("price", "SOL", price=1.75)
    await gateway.publish("trade", "SOL", side="long", size="3", price=1.75)
    await shown(page, "SOL 1.75", "long 3 at 1.75", "short 2 at 1.5", "long 1 at 1.25")
    assert await page.evaluate("mounts") == 2, "StrictMode mounts twice"
    await followed(gateway, 1, "price:SOL", "trades:SOL")


async def test_the_react_component_leaves_what_it_no_longer_shows(
    gateway: Gateway, open_page: OpenPage, app: dict[str, str]
) -> None:
    """The market's channels with another market, and the gateway at the end."""
    for market in ("SOL", "BTC"):
        await gateway.publish("price", market, price=1.5)
        await gateway.publish("trade", market, side="long", size="1", price=1.5)
    page = await opened(open_page, gateway, app)
    await show(page, gateway, "SOL")
    await followed(gateway, 1, "price:SOL", "trades:SOL")
    await show(page, gateway, "BTC")
    await followed(gateway, 1, "price:BTC", "trades:BTC")
    await page.evaluate("leave()")
    await followed(gateway, 0)


async def test_the_react_component_moves_to_another_gateway_and_market_at_once(
    start_gateway: StartGateway, open_page: OpenPage, app: dict[str, str]
) -> None:
    """Nothing is subscribed on the feed that is already closed."""
    first = await start_gateway()
    second = await start_gateway(allowed_origins=address(first))
    await first.publish("trade", "SOL", side="long", size="1", price=1.5)
    await first.publish("trade", "BTC", side="long", size="2", price=1.5)
    page = await opened(open_page, first, app)
    await show(page, first, "SOL")
    await shown(page, "SOL", "long 1 at 1.5")
    await show(page, second, "BTC")
    await shown(page, "BTC", "long 2 at 1.5")
    await followed(first, 0)
    await followed(second, 1, "price:BTC", "trades:BTC")
