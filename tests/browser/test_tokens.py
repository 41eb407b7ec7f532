"""With authentication: the dashboard asks for a token, and percolator.js sends it."""

import asyncio
import itertools
import time

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from percolator.auth import tokens
from tests.browser.conftest import BLANK, OpenPage, Shoot, StartGateway
from tests.browser.test_dashboard import SOON, a_market, shows, tape
from tests.gateway import Gateway, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE_SECONDS = 0.005
"""Seconds between two trades: in one burst, a browser that waits for the CPU would lose some."""
SECRET = "a secret of thirty-two bytes or more"


def token(*channels: str, seconds: float = 60) -> str:
    """Return a token for channels, by default for all."""
    return tokens.mint(SECRET, channels or ("*",), now=time.time(), seconds=seconds)


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that requires tokens."""
    return await start_gateway(auth=True, auth_secret=SECRET)


async def enter_token(page: Page, text: str) -> None:
    """Wait for the dialog, and enter a token."""
    await expect(page.locator("#ask")).to_be_visible(timeout=SOON)
    await page.fill("#ask-token", text)
    await page.keyboard.press("Enter")


async def test_the_dashboard_asks_for_a_token_and_keeps_it(
    gateway: Gateway, open_page: OpenPage, shoot: Shoot
) -> None:
    """It asks again after a wrong token, and keeps a valid one when the tab reloads."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await expect(page.locator("#ask")).to_be_visible(timeout=SOON)
    await expect(page.locator("#ask-why")).to_have_text("This gateway needs a token.")
    await expect(page.locator("#ask button")).to_have_text(["Cancel", "Continue"])
    await shoot(page, "token")
    await enter_token(page, "wrong")
    await enter_token(page, token())
    assert await tape(page, 1) == ["1,500,000"]
    await shows(page, "#state span", "Live")
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("#unlock")).to_be_hidden()
    await page.reload()
    assert await tape(page, 1) == ["1,500,000"]
    await expect(page.locator("#ask")).to_be_hidden()


async def test_the_dashboard_does_not_ask_again_after_cancel(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """A button opens the dialog later."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await page.click("#ask-cancel")
    await expect(page.locator("#ask")).to_be_hidden()
    await shows(page, "#state span", "Live")
    await page.click("#unlock")
    await enter_token(page, token())
    assert await tape(page, 1) == ["1,500,000"]


async def test_the_dashboard_asks_for_a_separate_statistics_token(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """Market data is shown without it."""
    gateway = await start_gateway(stats_token="statistics token")
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await expect(page.locator("#ask-why")).to_contain_text("statistics", timeout=SOON)
    await shows(page, "#last", "146.2500")
    await shows(page, "#asof", "token required")
    await enter_token(page, "statistics token")
    await shows(page, "#connections", "1 / 1,000")


async def test_the_tape_explains_that_a_token_does_not_cover_its_trades(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Prices are shown, and the page does not ask for another token."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await enter_token(page, token("price:*", "funding:*"))
    await shows(
        page, "#tape-empty", "the token is missing, not valid, or does not cover the channel"
    )
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("#unlock")).to_be_hidden()
    await gateway.publish("price", "SOL", price=150)
    await shows(page, "#last", "150.0000")


async def test_the_client_replaces_a_token_before_it_expires_and_loses_no_trade(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The client calls the page's function again, and stays connected."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    minted: list[str] = []

    def mint() -> str:
        minted.append(token(seconds=60 if minted else 3))
        return minted[-1]

    await page.expose_function("mint", mint)
    await page.evaluate("""async () => {
        const { connect } = await import("/percolator.js");
        Object.assign(globalThis, { got: [], reasons: [] });
        globalThis.feed = connect(undefined, { token: () => mint() });
        feed.on("state", (state) => state.reason && reasons.push(state.reason));
        feed.subscribe("trades:SOL", (message) => got.push(message.size));
    }""")
    await eventually(lambda: bool(gateway.service.slab_limits.clients))
    sizes = map(str, itertools.count())
    while len(minted) < 2:
        await gateway.publish("trade", "SOL", size=next(sizes))
        await asyncio.sleep(PACE_SECONDS)
    last = next(sizes)
    await gateway.publish("trade", "SOL", size=last)
    await page.wait_for_function(f"got.at(-1) === '{last}'")
    assert await page.evaluate("got") == [str(size) for size in range(int(last) + 1)]
    assert await page.evaluate("reasons") == []


async def test_a_new_token_ends_the_channels_that_it_does_not_cover(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The page gets one error for them, and its other channels continue."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(
        """async (token) => {
            const { connect } = await import("/percolator.js");
            Object.assign(globalThis, { got: [], faults: [], feed: connect(undefined, { token }) });
            feed.on("error", (fault) => faults.push(`${fault.code} ${fault.channel}`));
            feed.subscribe(["trades:A", "trades:B"], (m) => {
                got.push(m.type === "refused" ? `${m.code} ${m.channel}` : `${m.slab}${m.size}`);
            });
        }""",
        token(),
    )
    clients = gateway.service.slab_limits.clients
    await eventually(lambda: clients == {"A": 1, "B": 1})
    await page.evaluate("(token) => feed.authenticate(token)", token("trades:A"))
    await eventually(lambda: clients == {"A": 1})
    for slab in "BA":
        await gateway.publish("trade", slab, size="1")
    await page.wait_for_function("got.length === 2")
    refused = "unauthorized trades:B"
    assert await page.evaluate("[got, faults]") == [[refused, "A1"], [refused]]


async def test_an_accepted_token_does_not_shorten_the_next_wait(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """If a full market ends the connection after authentication, the waits keep growing."""
    gateway = await start_gateway(auth=True, auth_secret=SECRET, max_connections_per_slab=1)
    other = await gateway.client()
    other.send({"type": "auth", "token": token()})
    other.subscribe("trades:SOL")
    await eventually(lambda: gateway.service.slab_limits.clients == {"SOL": 1})
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(
        """async (token) => {
            const { connect } = await import("/percolator.js");
            Object.assign(globalThis, { waits: [], feed: connect(undefined, { token }) });
            feed.on("error", () => {});
            feed.on("state", ({ name, since, retryAt }) => {
                if (name === "waiting") waits.push(retryAt - since);
            });
            feed.subscribe("trades:SOL", () => {});
        }""",
        token(),
    )
    await page.wait_for_function("waits.length === 3")
    assert [wait >= 250 * 2**n for n, wait in enumerate(await page.evaluate("waits"))] == [True] * 3
