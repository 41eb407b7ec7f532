"""The look of the dashboard: screen sizes, dark and light, keyboard, and a stable layout."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, Shoot
from tests.browser.test_dashboard import a_market, shows, tape, trades
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = {"desktop": (1280, 800), "tablet": (768, 1024), "phone": (390, 844)}
SLABS = ("BTC", "DOGE", "PEPE", "SOL")
TRADES = 40
"""Per market: more than fit into the tape, so that it has a scroll bar."""

CUT_OFF = """() =>
    [...document.querySelectorAll("td, th, dd, dt, h2, #last, #change, .note, #state")].filter(
        (element) => element.offsetParent && element.scrollWidth > element.clientWidth
    ).map((element) => element.textContent)"""

CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const paint = (colours) => {
        for (const colour of colours) {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
        }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => {
            const c = part / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = {};
    const texts = "td, th, dd, dt, h1, h2, p, #last, .spans span";
    for (const element of document.querySelectorAll(texts)) {
        if (!element.offsetParent || !element.textContent.trim()) continue;
        const grounds = [];
        for (let e = element; e; e = e.parentElement) {
            grounds.unshift(getComputedStyle(e).backgroundColor);
        }
        const behind = paint(grounds);
        const text = paint([...grounds, getComputedStyle(element).color]);
        const ratio = (Math.max(behind, text) + 0.05) / (Math.min(behind, text) + 0.05);
        if (ratio < 4.5) found[element.textContent.trim()] = ratio;
    }
    return found;
}"""

PLACES = """() => {
    const fixed = "section, h2, #last, #state, .scroll, .facts dd, .tiles div";
    return [...document.querySelectorAll(fixed)].map((element) => {
        const { x, y, height } = element.getBoundingClientRect();
        return [element.id || element.className, x, y, height];
    });
}"""


async def markets(gateway: Gateway) -> None:
    """Fill the page, with numbers as long as real ones."""
    prices = {"BTC": 104_250.5, "DOGE": 0.104_326, "PEPE": 0.000_008_21, "SOL": 146.25}
    for slab, price in prices.items():
        await gateway.publish("funding", slab, rate="-0.001125")
        for side in ("long", "short") * (TRADES // 2):
            await gateway.publish("trade", slab, size="104250000", price=price, side=side)
        seq = await gateway.publish("price", slab, price=price, markPrice=price, indexPrice=price)
    await gateway.has_read(seq)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("device", SIZES)
async def test_every_text_is_readable(
    gateway: Gateway, open_page: OpenPage, shoot: Shoot, device: str, scheme: str
) -> None:
    """No text is cut off or off the screen, and each has enough contrast."""
    await markets(gateway)
    width, height = SIZES[device]
    size = {"width": width, "height": height}
    url = f"http://127.0.0.1:{gateway.port}/#PEPE"
    page = await open_page(url, viewport=size, color_scheme=scheme)
    await shows(page, "#state span", "Live")
    await shows(page, "#last", "0.00000821")
    await tape(page, TRADES)
    await shows(page, "#nats", "Connected")
    for slab in SLABS[:2]:
        await gateway.publish("price", slab, price=1)
    await expect(page.locator("#markets tr[data-slab=BTC] .last")).to_have_text("1.0000")
    await shoot(page, f"{device}-{scheme}")
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert await page.evaluate(CUT_OFF) == []
    assert await page.evaluate(CONTRASTS) == {}


async def test_the_page_follows_the_colour_scheme(gateway: Gateway, open_page: OpenPage) -> None:
    """The reader may change it while the page is open."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(ground) != dark


async def test_the_page_can_be_used_with_the_keyboard_alone(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Tab moves between controls, arrow keys within one, and the focus is visible."""
    await markets(gateway)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#BTC")
    await shows(page, "#market-name", "BTC")
    await tab_to(page, "#markets button")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert await page.evaluate(outline) == "solid"
    await page.keyboard.press("ArrowDown")
    await shows(page, "#market-name", "DOGE")
    pressed = page.locator("#markets button[aria-pressed=true]")
    await expect(pressed).to_have_text("DOGE")
    await expect(pressed).to_be_focused()
    await tab_to(page, "input[name=span]")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("input[value='900']")).to_be_checked()
    await tab_to(page, "#chart")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#reading")).to_contain_text("0.104326")
    await page.keyboard.press("Escape")
    await shows(page, "#reading", "")


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element that matches has the focus."""
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


@pytest.mark.parametrize("device", SIZES)
async def test_the_layout_does_not_shift_as_data_arrives(
    gateway: Gateway, open_page: OpenPage, device: str
) -> None:
    """From the empty page to a full one, every panel keeps its place."""
    width, height = SIZES[device]
    page = await open_page(
        f"http://127.0.0.1:{gateway.port}/", viewport={"width": width, "height": height}
    )
    before: list[Any] = await page.evaluate(PLACES)
    await a_market(gateway)
    await shows(page, "#last", "146.2500")
    await tape(page, 1)
    await shows(page, "#busiest-small", "SOL")
    for size in range(100):
        await gateway.publish("trade", "SOL", size=str(size))
    await expect(trades(page).first).to_contain_text("99")
    assert await page.evaluate(PLACES) == before


async def test_the_page_does_not_grow_as_trades_arrive(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """After sixty trades the tape reuses its rows, and adds no node."""
    await a_market(gateway)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#SOL")
    count = "document.querySelectorAll('*').length"
    for size in range(100):
        await gateway.publish("trade", "SOL", size=str(size))
    await shows(page, "#tape-note", "101 trades")
    nodes = await page.evaluate(count)
    for size in range(100, 400):
        await gateway.publish("trade", "SOL", size=str(size))
    await shows(page, "#tape-note", "401 trades")
    assert await page.evaluate(count) == nodes
    assert await tape(page, 60) == [str(size) for size in range(340, 400)]
