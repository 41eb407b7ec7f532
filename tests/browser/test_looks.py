"""How the dashboard looks: phone and desk, dark and light, by keyboard, and without a jump."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, Shoot
from tests.browser.test_dashboard import a_market, shows, tape, trades
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = {"desk": (1280, 800), "phone": (390, 844)}
SLABS = ("BTC", "DOGE", "PEPE", "SOL")
TRADES = 40
"""Of each market: more than fit into the tape, which so has a scroll bar."""

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
    """Publish what a page is full of, with numbers as long as they get in life."""
    prices = {"BTC": 104_250.5, "DOGE": 0.104_326, "PEPE": 0.000_008_21, "SOL": 146.25}
    for slab, price in prices.items():
        await gateway.publish("funding", slab, rate="-0.001125")
        for side in ("long", "short") * (TRADES // 2):
            await gateway.publish("trade", slab, size="104250000", price=price, side=side)
        seq = await gateway.publish("price", slab, price=price, markPrice=price, indexPrice=price)
    await gateway.has_read(seq)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("device", SIZES)
async def test_it_is_readable(
    gateway: Gateway, open_page: OpenPage, shoot: Shoot, device: str, scheme: str
) -> None:
    """Nothing is cut off or wider than the screen, and every text stands out from its ground."""
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


async def test_dark_and_light_differ(gateway: Gateway, open_page: OpenPage) -> None:
    """The page follows what the reader has chosen, also while it is open."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}/")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(ground) != dark


async def test_it_is_used_by_keyboard_alone(gateway: Gateway, open_page: OpenPage) -> None:
    """Tab goes from part to part, the arrows within one, and what has the focus is seen."""
    await markets(gateway)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#BTC")
    await shows(page, "#slab", "BTC")
    await tab_to(page, "#markets button")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert await page.evaluate(outline) == "solid"
    await page.keyboard.press("ArrowDown")
    await shows(page, "#slab", "DOGE")
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
    """Press Tab until an element like that has the focus."""
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("(like) => document.activeElement.matches(like)", selector):
            return
    raise AssertionError(f"Tab does not come to {selector}")


@pytest.mark.parametrize("device", SIZES)
async def test_nothing_jumps(gateway: Gateway, open_page: OpenPage, device: str) -> None:
    """From the empty page to a full one, what stands somewhere stays there."""
    width, height = SIZES[device]
    page = await open_page(
        f"http://127.0.0.1:{gateway.port}/", viewport={"width": width, "height": height}
    )
    before: list[Any] = await page.evaluate(PLACES)
    await a_market(gateway)
    await shows(page, "#last", "146.2500")
    await tape(page, 1)
    await shows(page, "#fullest-small", "SOL")
    for size in range(100):
        await gateway.publish("trade", "SOL", size=str(size))
    await expect(trades(page).first).to_contain_text("99")
    assert await page.evaluate(PLACES) == before


async def test_the_page_does_not_grow_with_what_goes_by(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """After the first sixty trades a row is used again, and no node is added."""
    await a_market(gateway)
    page = await open_page(f"http://127.0.0.1:{gateway.port}/#SOL")
    count = "document.querySelectorAll('*').length"
    for size in range(100):
        await gateway.publish("trade", "SOL", size=str(size))
    await shows(page, "#tape-note", "101 seen")
    nodes = await page.evaluate(count)
    for size in range(100, 400):
        await gateway.publish("trade", "SOL", size=str(size))
    await shows(page, "#tape-note", "401 seen")
    assert await page.evaluate(count) == nodes
    assert await tape(page, 60) == [str(size) for size in range(340, 400)]
