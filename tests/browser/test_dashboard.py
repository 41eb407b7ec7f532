"""The dashboard as a person sees it: values, and honest words for how things stand."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, Shoot, StartGateway
from tests.browser.process import GatewayProcess
from tests.gateway import Gateway, running
from tests.nats_server import NatsServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON = 20_000
"""Milliseconds until a wait counts as in vain."""
NONE = "\N{EN DASH}"
"""What stands where nothing is known."""
RATE = "\N{MINUS SIGN}0.0125 %"


async def shows(page: Page, selector: str, text: str | re.Pattern[str]) -> None:
    """Wait until an element shows a text."""
    await expect(page.locator(selector)).to_have_text(text, timeout=SOON)


def trades(page: Page) -> Locator:
    """Give the rows of the tape that are in use, newest first."""
    return page.locator("#tape tbody tr:visible")


async def tape(page: Page, length: int) -> list[str]:
    """Wait until the tape has so many rows; give the sizes, oldest first, and a gap as "Gap"."""
    await expect(trades(page)).to_have_count(length, timeout=SOON)
    rows = [text.split("\t") for text in await trades(page).all_inner_texts()]
    return [cells[0] if cells[0] == "Gap" else cells[3] for cells in reversed(rows)]


async def a_market(gateway: Gateway | GatewayProcess, slab: str = "SOL") -> int:
    """Publish one of everything; give the last seq."""
    await gateway.publish("funding", slab, rate="-0.000125")
    await gateway.publish("trade", slab, size="1500000", price=146.2)
    return await gateway.publish("price", slab, price=146.25, markPrice=146.5, indexPrice=146)


async def test_values_are_live(gateway: Gateway, open_page: OpenPage, shoot: Shoot) -> None:
    """A market that is new appears, and what is published is seen, in its row and beside it."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await shows(page, "#markets-empty", re.compile("^No market has had an event yet"))
    await shoot(page, "empty")
    await a_market(gateway)
    await shows(page, "#last", "146.2500")
    await shows(page, "#funding", RATE)
    values = ["SOL", "146.2500", "0.00 %", "146.5000", "146.0000", RATE]
    await expect(page.locator("#markets tbody tr > *")).to_have_text(values)
    await expect(trades(page).first).to_contain_text("1,500,000")
    await gateway.publish("price", "SOL", price=148)
    await gateway.publish("trade", "SOL", size="42", side="short", price=148)
    await shows(page, "#last", "148.0000")
    await shows(page, "#change", "+1.20 %")
    await shows(page, "#mark", NONE)
    await expect(trades(page).first).to_have_text(re.compile("▼ Short.*42$"))
    await shows(page, "#state span", "Live")
    await shows(page, "#gaps", "no gaps")
    await shows(page, "#connections", "1 / 1,000")
    await shows(page, "#fullest-small", "SOL")
    await shows(page, "#nats", "Connected")
    await expect(page).to_have_title("148.0000 SOL")


async def test_a_gateway_that_is_killed_and_comes_back_leaves_the_tape_complete(
    process: GatewayProcess, open_page: OpenPage, shoot: Shoot
) -> None:
    """What was published meanwhile is there, once and in order; and how things stand is said."""
    await a_market(process)
    await process.trades("SOL", range(10))
    page = await open_page(f"{process.url}/#SOL")
    await tape(page, 11)
    await process.kill()
    await shows(page, "#state span", re.compile(r"^Reconnecting in \d+ s$"))
    await shows(page, "#asof", re.compile(r"^no answer, as of \d\d:\d\d:\d\d$"))
    await shoot(page, "reconnecting")
    await process.trades("SOL", range(10, 30))
    await process.start()
    await shows(page, "#state span", "Live")
    await process.trades("SOL", range(30, 40))
    assert await tape(page, 41) == ["1,500,000", *map(str, range(40))]
    await shows(page, "#gaps", "no gaps")


async def test_what_cannot_be_had_any_more_is_a_gap_in_its_place(
    process: GatewayProcess, open_page: OpenPage, shoot: Shoot
) -> None:
    """On the tape between the trades that there are, and counted in the header."""
    await a_market(process)
    await process.trades("SOL", range(5))
    page = await open_page(f"{process.url}/#SOL")
    await tape(page, 6)
    await process.kill()
    await process.trades("SOL", range(5, 15))
    await process.nats.jetstream().purge_stream(process.stream, keep=3)
    await process.start()
    sizes = ["1,500,000", "0", "1", "2", "3", "4", "Gap", "12", "13", "14"]
    assert await tape(page, 10) == sizes
    await shows(page, "#gaps", re.compile(r"^\d gaps?, last \d\d:\d\d:\d\d (trades|funding):SOL$"))
    await shoot(page, "gap")


async def test_a_feed_that_stands_still_is_stale_though_the_page_is_connected(
    nats_process: NatsServer, open_page: OpenPage, shoot: Shoot
) -> None:
    """NATS is gone: header and price line say since when, and are live again by themselves."""
    async with running(nats_process.url, "STALE") as gateway:
        await a_market(gateway)
        page = await open_page(f"http://127.0.0.1:{gateway.port}/")
        await shows(page, "#last", "146.2500")
        nats_process.kill()
        await shows(page, "#state span", re.compile(r"^Stale since \d\d:\d\d:\d\d$"))
        await shows(page, "#nats", "Not connected")
        chart = page.locator("#chart")
        silent = re.compile(r"146\.2500, .*; nothing is known since \d\d:\d\d:\d\d$")
        await expect(chart).to_have_attribute("aria-label", silent, timeout=SOON)
        await shoot(page, "stale")
        nats_process.start()
        await shows(page, "#state span", "Live")
        await shows(page, "#nats", "Connected")
        await expect(chart).not_to_have_attribute("aria-label", silent, timeout=SOON)
        await page.close()


async def test_another_market_is_one_click_away(gateway: Gateway, open_page: OpenPage) -> None:
    """Its tape replaces the other's, and the address names it."""
    await a_market(gateway, "BTC")
    await gateway.publish("trade", "ETH", size="7")
    await gateway.has_read(await gateway.publish("price", "ETH", price=2_600))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#BTC")
    assert await tape(page, 1) == ["1,500,000"]
    await page.click("#markets tr[data-slab=ETH] button")
    await shows(page, "#slab", "ETH")
    assert await tape(page, 1) == ["7"]
    assert page.url.endswith("/#ETH")
    await gateway.publish("trade", "BTC", size="8")
    await gateway.publish("trade", "ETH", size="9")
    assert await tape(page, 2) == ["7", "9"]


async def test_markets_past_the_limit_of_channels_are_shown_all_the_same(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """What is not followed is asked for once a second."""
    gateway = await start_gateway(max_channels_per_client=5)
    for number in range(8):
        seq = await gateway.publish("price", f"S{number}", price=10 + number)
    await gateway.has_read(seq)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await shows(page, "#state span", "Live")
    for number in range(8):
        await gateway.publish("price", f"S{number}", price=20 + number)
    prices = [f"{20 + number}.0000" for number in range(8)]
    await expect(page.locator("#markets td.last")).to_have_text(prices, timeout=SOON)
    await shows(page, "#state span", "Live")
