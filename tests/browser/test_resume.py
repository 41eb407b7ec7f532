"""A complete tape: the page in the documentation, and a stream that is replaced."""

import http.server
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.process import GatewayProcess
from tests.browser.test_client import following
from tests.gateway import Gateway, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS = Path(__file__).parents[2] / "docs" / "clients.md"
DOCUMENTED = "http://localhost:3001"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web site of another origin: its folder and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


async def test_the_page_in_the_documentation_shows_a_complete_tape(
    process: GatewayProcess, site: tuple[Path, str], open_page: OpenPage
) -> None:
    """It is on another site, and the gateway is killed twice while trades continue."""
    (text,) = re.findall(r"```html\n(.*?)```", CLIENTS.read_text(), re.DOTALL)
    assert len(text.splitlines()) <= 21
    folder, address = site
    (folder / "favicon.ico").touch()
    (folder / "index.html").write_text(text.replace(DOCUMENTED, process.url))
    page = await open_page(address)
    lines = page.locator("#tape li")

    async def live() -> None:
        await page.wait_for_function("document.getElementById('state').textContent === 'live'")

    await live()
    await process.trades("SOL", range(5))
    await process.kill()
    await process.trades("SOL", range(5, 10))
    await process.start()
    await live()
    await process.trades("SOL", range(10, 15))
    await process.kill()
    await process.start()
    await process.trades("SOL", range(15, 20))
    await page.wait_for_function("document.querySelectorAll('#tape li').length >= 20")
    expected = [f"long {size} at 1.5" for size in range(20)]
    assert await lines.all_inner_texts() == expected


async def test_a_page_misses_no_trade_before_its_first_one(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """A channel without events is resumed too: its first trade may come during an outage."""
    page = await open_page(process.url + "/health/live")
    await page.evaluate("""async () => {
        const { connect } = await import("/percolator.js");
        Object.assign(globalThis, { got: [], feed: connect() });
        feed.subscribe("trades:SOL", (message) => got.push(message.size));
    }""")
    await page.wait_for_function("feed.state.name === 'live'")
    await process.kill()
    await process.trades("SOL", range(3))
    await process.start()
    await page.wait_for_function("got.length >= 3")
    assert await page.evaluate("got") == ["0", "1", "2"]


async def test_a_replaced_stream_sends_a_gap_and_then_continues(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Seqs start again; trades get a gap with the new epoch, prices get no notice."""
    page = await following(open_page, gateway, "trades:SOL", "price:SOL")
    for price in range(1, 6):
        await gateway.publish("trade", "SOL", price=price)
    old = await gateway.publish("price", "SOL", price=6)
    await page.wait_for_function("got.length === 6")
    epoch = gateway.service.hub.book.epoch
    stream = gateway.service.settings.stream
    await gateway.nats.jetstream().delete_stream(stream)
    await eventually(lambda: gateway.service.hub.book.epoch not in ("", epoch))
    assert await gateway.publish("trade", "SOL", price=7) < old
    await gateway.publish("price", "SOL", price=8)
    await page.wait_for_function("got.length === 9")
    gap, trade, price = await page.evaluate("got.slice(6)")
    assert (gap["type"], gap["epoch"]) == ("gap", gateway.service.hub.book.epoch)
    assert (trade["price"], price["price"]) == (7, 8)


async def test_a_channel_subscribed_to_in_a_new_stream_resumes_by_the_new_seqs(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The old stream's seqs were higher, and the first trade comes during an outage."""
    page = await following(open_page, gateway, "trades:SOL")
    for price in range(1, 6):
        await gateway.publish("trade", "SOL", price=price)
    await page.wait_for_function("got.length === 5")
    hub = gateway.service.hub
    epoch = hub.book.epoch
    await gateway.nats.jetstream().delete_stream(gateway.service.settings.stream)
    await eventually(lambda: hub.book.epoch not in ("", epoch))
    await gateway.publish("trade", "SOL", price=6)
    await page.wait_for_function("got.length === 7")
    await page.evaluate("() => { listen('trades:BTC'); }")
    await eventually(lambda: gateway.service.slab_limits.clients == {"SOL": 1, "BTC": 1})
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await gateway.publish("trade", "BTC", price=7)
    await gateway.publish("trade", "SOL", price=8)
    await page.wait_for_function("got.length === 9")
    prices = await page.evaluate("got.slice(7).map((trade) => trade.price)")
    assert sorted(prices) == [7, 8]
