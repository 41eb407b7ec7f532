"""Four front ends in the forms of real ones, each a page with one script, and what each must show.

Events of all markets of a front end are published in turns, with values that no other turn has.
So a page shows a turn or does not. Turn 0 comes before the page is opened.
"""

import asyncio
from pathlib import Path
from typing import Any

from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.conftest import BLANK, OpenPage
from tests.browser.process import GatewayProcess

FOLDER = Path(__file__).parent
SHOWS = "(expected) => JSON.stringify(shown()) === JSON.stringify(expected)"
MAX_SILENCE_MS = 45_000
"""How long the shared socket bears silence."""
PATIENCE_MS = 40_000


class FrontEnd:
    """A page that shows the latest price of each of its markets."""

    script: str
    page: Page

    def __init__(self, markets: int) -> None:
        self.markets = [f"{self.script}-{number}" for number in range(markets)]

    async def publish(self, process: GatewayProcess, turn: int) -> None:
        """Publish the events of a turn."""
        prices = enumerate(self.markets, (turn + 1) * 1_000)
        await asyncio.gather(*(process.publish("price", slab, price=n) for n, slab in prices))

    def expected(self, turn: int, *, live: bool) -> Any:  # noqa: ANN401 - any JSON
        """Return what the page shows after a turn.

        `live` is whether it was connected when the events of the turn were published.
        """
        del live
        return [(turn + 1) * 1_000 + number for number in range(len(self.markets))]

    async def open(self, open_page: OpenPage, process: GatewayProcess, scale: float) -> None:
        """Open the page, with its times multiplied by `scale`."""
        self.page = await open_page(process.url + BLANK)
        for name in ("recorder", self.script):
            await self.page.add_script_tag(path=FOLDER / f"{name}.js")
        url = process.url.replace("http", "ws") + "/ws"
        options = {"markets": self.markets, "silence": MAX_SILENCE_MS * scale}
        await self.page.evaluate("([url, options]) => start(url, options)", [url, options])
        await self.page.wait_for_function("sockets.greeted > 0")  # a chart begins there

    async def shows(self, turn: int, *, live: bool) -> None:
        """Wait until the page shows a turn."""
        expected = self.expected(turn, live=live)
        try:
            await self.page.wait_for_function(SHOWS, arg=expected, timeout=PATIENCE_MS)
        except PlaywrightTimeoutError:
            faults = await self.page.evaluate("faults")
            assert await self.page.evaluate("shown()") == expected, (self.script, faults[:3])

    async def is_quiet_for(self, milliseconds: float) -> None:
        """Wait until the page has been sent nothing but heartbeats for so long."""
        await self.page.wait_for_function(
            "(wanted) => performance.now() - lastEvent > wanted",
            arg=milliseconds,
            polling=100,
            timeout=milliseconds + PATIENCE_MS,
        )


class LegacyPage(FrontEnd):
    """One subscribe per market in the older form, all at once."""

    script = "legacy"

    def expected(self, turn: int, *, live: bool) -> Any:  # noqa: ANN401
        """Return whether each market's reply has come, and its latest price."""
        return [[True, price] for price in super().expected(turn, live=live)]


class HookPage(FrontEnd):
    """One hook per market, mounted twice, over one socket."""

    script = "hooks"

    async def publish(self, process: GatewayProcess, turn: int) -> None:
        """Publish a price, a funding rate and a trade of each market."""
        await super().publish(process, turn)
        for slab in self.markets:
            await process.publish("funding", slab, rate=f"0.{turn}")
            await process.publish("trade", slab, size=str(turn))

    def expected(self, turn: int, *, live: bool) -> Any:  # noqa: ANN401
        """Return the latest price and rate of each market, and the last trade while connected."""
        prices = super().expected(turn, live=live)
        return [[price, f"0.{turn}", str(turn) if live else None] for price in prices]


class SharedSocket(FrontEnd):
    """A socket that is closed when no message came for 45 s."""

    script = "silence"


class Chart(FrontEnd):
    """Candles from the trades of one market; sizes exceed what a JavaScript number holds."""

    script = "candles"
    trades_per_turn = 60

    def __init__(self) -> None:
        super().__init__(1)
        self._candles: dict[int, list[Any]] = {}

    async def publish(self, process: GatewayProcess, turn: int) -> None:
        """Publish trades of seven minutes."""
        for number in range(turn * self.trades_per_turn, (turn + 1) * self.trades_per_turn):
            time, price = 1_700_000_000_000 + number * 7_000, 100 + number * 37 % 53 / 8
            size = 10**20 + number
            trade = {"timestamp": time, "price": price, "size": str(size)}
            await process.publish("trade", self.markets[0], **trade)
            if turn:
                self._fold(time // 60_000, price, size)

    def expected(self, turn: int, *, live: bool) -> Any:  # noqa: ANN401
        """Return the candles of all trades since the page was opened."""
        del turn, live
        return [[minute, *prices, str(size)] for minute, (*prices, size) in self._candles.items()]

    def _fold(self, minute: int, price: float, size: int) -> None:
        first = [price, price, price, price, 0]
        opened, high, low, _, volume = self._candles.get(minute, first)
        self._candles[minute] = [opened, max(high, price), min(low, price), price, volume + size]
