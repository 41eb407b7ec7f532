"""The dashboard as a user sees it: live values, and the state of the connection."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, Shoot, StartGateway
from tests.browser.process import GatewayProcess
from tests.gateway import Gateway, running
from tests.nats_server import NatsServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON = 20_000
"""Milliseconds until a wait fails."""
NONE = "\N{EN DASH}"
"""Shown in place of an unknown value."""
RATE = "\N{MINUS SIGN}0.0125 %"


async def shows(page: Page, selector: str, text: str | re.Pattern[str]) -> None:
    """Wait until an element shows this text."""
    await expect(page.locator(selector)).to_have_text(text, timeout=SOON)


def trades(page: Page) -> Locator:
    """Return the visible rows of the tape, newest first."""
    return page.locator("#tape tbody tr:visible")


async def tape(page: Page, length: int) -> list[str]:
    """Wait until the tape has a number of rows; return their sizes, oldest first, gaps in full."""
    await expect(trades(page)).to_have_count(length, timeout=SOON)
    rows = [text.split("\t") for text in await trades(page).all_inner_texts()]
    return [cells[0] if len(cells) == 1 else cells[3] for cells in reversed(rows)]


async def a_market(gateway: Gateway | GatewayProcess, slab: str = "SOL") -> int:
    """Publish a funding rate, a trade and a price; return the last seq."""
    await gateway.publish("funding", slab, rate="-0.000125")
    await gateway.publish("trade", slab, size="1500000", price=146.2)
    return await gateway.publish("price", slab, price=146.25, markPrice=146.5, indexPrice=146)


async def test_the_dashboard_shows_live_values(
    gateway: Gateway, open_page: OpenPage, shoot: Shoot
) -> None:
    """A new market gets a row, and every new value appears in it and in the panels."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    await shows(page, "#markets-empty", re.compile("^No markets yet"))
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
    await shows(page, "#connections-small", "no limit per IP")
    await shows(page, "#busiest-small", "SOL")
    await shows(page, "#nats", "Connected")
    await expect(page).to_have_title("148.0000 SOL")


async def test_the_tape_is_complete_after_the_gateway_was_killed_and_restarted(
    process: GatewayProcess, open_page: OpenPage, shoot: Shoot
) -> None:
    """Trades published meanwhile appear once and in order; the header shows the outage."""
    await a_market(process)
    await process.trades("SOL", range(10))
    page = await open_page(f"{process.url}/#SOL")
    await tape(page, 11)
    await process.kill()
    await shows(page, "#state span", re.compile(r"^Reconnecting in \d+ s$"))
    await shows(page, "#asof", re.compile(r"^no response, as of \d\d:\d\d:\d\d$"))
    await shoot(page, "reconnecting")
    await process.trades("SOL", range(10, 30))
    await process.start()
    await shows(page, "#state span", "Live")
    await process.trades("SOL", range(30, 40))
    assert await tape(page, 41) == ["1,500,000", *map(str, range(40))]
    await shows(page, "#gaps", "no gaps")


async def test_missing_trades_appear_as_a_gap_in_their_place(
    process: GatewayProcess, open_page: OpenPage, shoot: Shoot
) -> None:
    """The tape shows the gap between its neighbours, and the header counts it."""
    await a_market(process)
    await process.trades("SOL", range(5))
    page = await open_page(f"{process.url}/#SOL")
    await tape(page, 6)
    await process.kill()
    await process.trades("SOL", range(5, 15))
    await process.nats.jetstream().purge_stream(process.stream, keep=3)
    await process.start()
    rows = await tape(page, 10)
    assert rows[:6] == ["1,500,000", "0", "1", "2", "3", "4"]
    assert re.fullmatch(r"Missing: trades between \d+ and \d+", rows[6])
    assert rows[7:] == ["12", "13", "14"]
    await shows(page, "#gaps", re.compile(r"^\d gaps?, last \d\d:\d\d:\d\d (trades|funding):SOL$"))
    await shoot(page, "gap")


async def test_the_dashboard_is_stale_while_the_gateway_has_no_feed(
    nats_process: NatsServer, open_page: OpenPage, shoot: Shoot
) -> None:
    """Without NATS, header and chart show since when; both recover by themselves."""
    async with running(nats_process.url, "STALE") as gateway:
        await a_market(gateway)
        page = await open_page(f"http://127.0.0.1:{gateway.port}/")
        await shows(page, "#last", "146.2500")
        nats_process.kill()
        await shows(page, "#state span", re.compile(r"^Stale since \d\d:\d\d:\d\d$"))
        await shows(page, "#nats", "Not connected")
        chart = page.locator("#chart")
        silent = re.compile(r"146\.2500, .*; no data since \d\d:\d\d:\d\d$")
        await expect(chart).to_have_attribute("aria-label", silent, timeout=SOON)
        await shoot(page, "stale")
        nats_process.start()
        await shows(page, "#state span", "Live")
        await shows(page, "#nats", "Connected")
        await expect(chart).not_to_have_attribute("aria-label", silent, timeout=SOON)
        await page.close()


async def test_a_market_is_shown_under_its_name_until_it_retires(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Its own name is in the tip; another market takes its place, and it comes back."""
    name = "Solana <b>\N{RIGHT-TO-LEFT OVERRIDE}"
    await a_market(gateway, "SOL")
    await a_market(gateway, "BTC")
    await gateway.has_read(await gateway.publish("market", "SOL", displayName=name))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#SOL")
    await shows(page, "#market-name", name)
    rows = page.locator("#markets tbody tr button")
    await expect(rows).to_have_text(["BTC", name], timeout=SOON)
    await expect(rows.last).to_have_attribute("title", "SOL")
    await gateway.publish("market", "SOL", status="retired", displayName=name)
    await expect(rows).to_have_text(["BTC"], timeout=SOON)
    await shows(page, "#market-name", "BTC")
    await gateway.publish("market", "BTC", status="retired")
    await expect(rows).to_have_count(0, timeout=SOON)
    await shows(page, "#market-name", NONE)
    await shows(page, "#last", NONE)
    await shows(page, "#markets-empty", re.compile("^No markets yet"))
    await gateway.publish("market", "SOL", status="active")
    await expect(rows).to_have_text(["SOL"], timeout=SOON)
    await shows(page, "#last", "146.2500")


async def test_a_click_chooses_another_market(gateway: Gateway, open_page: OpenPage) -> None:
    """Its trades replace the others on the tape, and the page's address names it."""
    await a_market(gateway, "BTC")
    await gateway.publish("trade", "ETH", size="7")
    await gateway.has_read(await gateway.publish("price", "ETH", price=2_600))
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#BTC")
    assert await tape(page, 1) == ["1,500,000"]
    await page.click("#markets tr[data-slab=ETH] button")
    await shows(page, "#market-name", "ETH")
    assert await tape(page, 1) == ["7"]
    assert page.url.endswith("/#ETH")
    await gateway.publish("trade", "BTC", size="8")
    await gateway.publish("trade", "ETH", size="9")
    assert await tape(page, 2) == ["7", "9"]


async def test_markets_beyond_the_channel_limit_are_shown_too(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """The page polls the prices that it cannot subscribe to."""
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
