"""With authentication on: the dashboard asks for a token, and percolator.js carries one."""

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
"""From one trade to the next: with all at once, a browser that is kept waiting would lose some."""
SECRET = "a secret of thirty-two bytes or more"


def token(*channels: str, seconds: float = 60) -> str:
    """A token for channels."""
    return tokens.mint(SECRET, channels or ("*",), now=time.time(), seconds=seconds)


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that asks for tokens."""
    return await start_gateway(auth=True, auth_secret=SECRET)


async def answer(page: Page, text: str) -> None:
    """Wait for the question, and give a token."""
    await expect(page.locator("#ask")).to_be_visible(timeout=SOON)
    await page.fill("#ask-token", text)
    await page.keyboard.press("Enter")


async def test_the_dashboard_asks_for_a_token_and_keeps_it(
    gateway: Gateway, open_page: OpenPage, shoot: Shoot
) -> None:
    """A wrong one is asked for again; a right one is good for the tab, also when it reloads."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await expect(page.locator("#ask")).to_be_visible(timeout=SOON)
    await shoot(page, "token")
    await answer(page, "wrong")
    await answer(page, token())
    assert await tape(page, 1) == ["1,500,000"]
    await shows(page, "#state span", "Live")
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("#unlock")).to_be_hidden()
    await page.reload()
    assert await tape(page, 1) == ["1,500,000"]
    await expect(page.locator("#ask")).to_be_hidden()


async def test_who_would_rather_not_is_not_asked_twice(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """A button stays for later."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await page.click("#ask-later")
    await expect(page.locator("#ask")).to_be_hidden()
    await shows(page, "#state span", "Live")
    await page.click("#unlock")
    await answer(page, token())
    assert await tape(page, 1) == ["1,500,000"]


async def test_the_figures_may_have_a_token_of_their_own(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """Market data is there without one, and the figures come with it."""
    gateway = await start_gateway(stats_token="of the figures")
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await expect(page.locator("#ask-why")).to_contain_text("figures", timeout=SOON)
    await shows(page, "#last", "146.2500")
    await shows(page, "#asof", "a token is needed")
    await answer(page, "of the figures")
    await shows(page, "#connections", "1 / 1,000")


async def test_what_a_token_does_not_cover_is_said_where_it_would_stand(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The prices are there, and the tape says why it is empty."""
    await gateway.has_read(await a_market(gateway))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await answer(page, token("price:*", "funding:*"))
    await shows(
        page, "#tape-empty", "the token is missing, not valid, or does not cover the channel"
    )
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("#unlock")).to_be_hidden()
    await gateway.publish("price", "SOL", price=150)
    await shows(page, "#last", "150.0000")


async def test_a_token_that_expires_is_replaced_and_nothing_is_lost(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The page is asked for a new one at each connection, and resumes with it."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    given: list[float] = []

    def mint() -> str:
        given.append(time.monotonic())
        return token(seconds=1 if len(given) == 1 else 60)

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
    while len(given) < 2:
        await gateway.publish("trade", "SOL", size=next(sizes))
        await asyncio.sleep(PACE_SECONDS)
    last = next(sizes)
    await gateway.publish("trade", "SOL", size=last)
    await page.wait_for_function(f"got.at(-1) === '{last}'")
    assert await page.evaluate("got") == [str(size) for size in range(int(last) + 1)]
    assert await page.evaluate("reasons") == ["the token has expired"]


async def test_another_token_withdraws_what_it_does_not_cover(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The page is told once, the rest goes on, and a better token brings it back."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(
        """async (token) => {
            const { connect } = await import("/percolator.js");
            Object.assign(globalThis, { got: [], faults: [], feed: connect(undefined, { token }) });
            feed.on("error", (fault) => faults.push(`${fault.code} ${fault.channel}`));
            feed.subscribe(["trades:A", "trades:B"], (m) => got.push(`${m.slab}${m.size}`));
        }""",
        token(),
    )
    clients = gateway.service.slab_limits.clients
    await eventually(lambda: clients == {"A": 1, "B": 1})
    await page.evaluate("(token) => feed.authenticate(token)", token("trades:A"))
    await eventually(lambda: clients == {"A": 1})
    for slab in "BA":
        await gateway.publish("trade", slab, size="1")
    await page.wait_for_function("got.length === 1")
    assert await page.evaluate("[got, faults]") == [["A1"], ["unauthorized trades:B"]]


async def test_a_token_that_is_taken_makes_no_wait_short_again(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """A market that is full closes the page after its token was taken: it waits ever longer."""
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
