"""Liquidations, a kind that the client knows from its table alone: live, resumed, with a gap."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import BLANK, OpenPage
from tests.browser.process import GatewayProcess
from tests.browser.test_client import CONNECT, following, got
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNEL = "liquidations:SOL"


async def liquidate(process: GatewayProcess, sizes: range) -> list[int]:
    """Publish a liquidation of each size, and return their seqs."""
    return [await process.publish("liquidation", "SOL", size=str(size)) for size in sizes]


async def live(page: Page) -> None:
    """Wait until the page's feed is live."""
    await page.wait_for_function("feed.state.name === 'live'")


async def test_a_page_gets_liquidations_live_and_chained(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """With all of their fields, and each names the one before."""
    page = await following(open_page, gateway, CHANNEL)
    first = await gateway.publish("liquidation", "SOL", size="7", side="long", price=2.5)
    second = await gateway.publish("liquidation", "SOL", size="8")
    messages = await got(page, 2)
    assert messages[0] == {
        "type": "liquidation",
        "slab": "SOL",
        "side": "long",
        "size": "7",
        "price": 2.5,
        "timestamp": messages[0]["timestamp"],
        "epoch": gateway.service.book.epoch,
        "seq": first,
        "prev": messages[0]["prev"],
    }
    assert (messages[1]["seq"], messages[1]["prev"]) == (second, first)


async def test_a_page_resumes_liquidations_over_a_restart_and_is_handed_a_gap(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """What the stream still has arrives once and in order; what it lost is a gap in its place."""
    page = await open_page(process.url + BLANK)
    await page.evaluate(CONNECT)
    await page.evaluate("(channel) => { listen(channel); }", CHANNEL)
    await live(page)
    await liquidate(process, range(3))
    await got(page, 3)
    await process.kill()
    await liquidate(process, range(3, 6))
    await process.start()
    await live(page)
    *_, last = await liquidate(process, range(6, 9))
    resumed = await got(page, 9)
    assert [message.get("size") for message in resumed] == [str(size) for size in range(9)]
    await process.kill()
    *_, kept, _ = await liquidate(process, range(9, 13))
    await process.nats.jetstream().purge_stream(process.stream, seq=kept)
    await process.start()
    gap, *rest = (await got(page, 12))[9:]
    assert gap == {"type": "gap", "channel": CHANNEL, "from": last, "to": kept}
    assert [message["size"] for message in rest] == ["11", "12"]


async def test_a_page_that_comes_later_gets_no_old_liquidation_as_a_snapshot(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Only kinds with a snapshot hand the latest value to a second listener."""
    page = await following(open_page, gateway, CHANNEL)
    await gateway.publish("liquidation", "SOL", size="1")
    await got(page, 1)
    await page.evaluate("(channel) => { listen(channel); }", CHANNEL)
    await gateway.publish("liquidation", "SOL", size="2")
    assert [message["size"] for message in await got(page, 3)] == ["1", "2", "2"]
