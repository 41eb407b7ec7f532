"""percolator.js in a page, against a real gateway."""

import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import BLANK, OpenPage, StartGateway
from tests.gateway import Gateway, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT = """async () => {
    const { connect } = await import("/percolator.js");
    Object.assign(globalThis, { got: [], states: [], faults: [], feed: connect() });
    feed.on("state", (state) => states.push(state));
    feed.on("error", (fault) => faults.push(fault));
    globalThis.listen = (channels, options) =>
        feed.subscribe(channels, (message) => got.push(message), options);
}"""


async def connected(open_page: OpenPage, gateway: Gateway) -> Page:
    """Open a blank page, and wait until its feed is live."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(CONNECT)
    await page.wait_for_function("feed.state.name === 'live'")
    return page


async def following(open_page: OpenPage, gateway: Gateway, *channels: str) -> Page:
    """Open a blank page, and subscribe it to channels."""
    page = await connected(open_page, gateway)
    await page.evaluate("(channels) => { globalThis.mine = listen(channels); }", list(channels))
    hub = gateway.service.hub
    await eventually(
        lambda: (
            {log.channel.name for log in hub.book.logs.values() if log.followers} == set(channels)
        )
    )
    return page


async def got(page: Page, count: int) -> list[dict[str, Any]]:
    """Wait for a number of messages, and return all of them."""
    await page.wait_for_function(f"got.length >= {count}")
    found: list[dict[str, Any]] = json.loads(await page.evaluate("JSON.stringify(got)"))
    return found


async def test_a_page_gets_the_events_that_it_subscribed_to(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Prices, trades and funding rates arrive with all of their fields."""
    page = await following(open_page, gateway, "price:SOL", "trades:SOL", "funding:SOL")
    await gateway.publish("price", "SOL", price=1.5, markPrice=1.51)
    first = await gateway.publish("trade", "SOL", size="7")
    await gateway.publish("trade", "SOL", size="8")
    await gateway.publish("funding", "SOL", rate="-0.0002")
    messages = await got(page, 4)
    assert [message["type"] for message in messages] == ["price", "trade", "trade", "funding"]
    assert messages[0]["markPrice"] == 1.51
    assert [message["size"] for message in messages[1:3]] == ["7", "8"]
    assert messages[2]["prev"] == first
    assert messages[3]["rate"] == "-0.0002"


async def test_a_page_can_iterate_over_a_subscription(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """No event is lost between subscribing and the loop; leaving the loop unsubscribes."""
    page = await connected(open_page, gateway)
    await page.evaluate("() => { globalThis.mine = feed.subscribe('trades:SOL'); }")
    hub = gateway.service.hub
    await eventually(lambda: any(log.followers for log in hub.book.logs.values()))
    for size in ("1", "2", "3"):
        await gateway.publish("trade", "SOL", size=size)
    sizes = await page.evaluate("""async () => {
        const sizes = [];
        for await (const trade of mine) {
            sizes.push(trade.size);
            if (sizes.length === 3) return sizes;
        }
    }""")
    assert sizes == ["1", "2", "3"]
    await eventually(lambda: not any(log.followers for log in hub.book.logs.values()))


async def test_a_page_that_reads_too_slowly_gets_a_gap(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Trades that do not fit become a gap; of the prices, only the newest waits."""
    page = await connected(open_page, gateway)
    found = await page.evaluate("""async () => {
        const { Subscription } = await import("/percolator/subscription.js");
        const channels = ["trades:SOL", "price:SOL"];
        const queue = new Subscription(channels, { leave: () => {} });
        for (const name of channels) {
            queue.positions.requested(name, 0);
            queue.positions.begin(name, 0, "e");
        }
        for (let seq = 1; seq <= 25_000; seq += 1) {
            const type = seq % 2 ? "trade" : "price";
            const prev = type === "trade" ? Math.max(seq - 2, 0) : undefined;
            queue.push({ type, slab: "SOL", seq, prev, epoch: "e" });
        }
        const first = [await queue.next(), await queue.next()].map(({ value }) => value);
        let left = 0;
        const rest = (async () => { for await (const message of queue) left += 1; })();
        queue.unsubscribe();
        await rest;
        return [first, left];
    }""")
    (price, gap), left = found
    assert price["seq"] == 25_000
    assert gap == {"type": "gap", "channel": "trades:SOL", "from": 0, "to": 20_000}
    assert left == 2_500


async def test_the_last_listener_to_leave_unsubscribes_the_channel(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Two listeners share a channel, and the gateway sends each event once."""
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("() => { globalThis.second = listen('trades:SOL'); }")
    await page.evaluate("mine.unsubscribe()")
    await gateway.publish("trade", "SOL", size="1")
    assert [message["size"] for message in await got(page, 1)] == ["1"]
    await page.evaluate("second.unsubscribe()")
    await eventually(lambda: not gateway.service.slab_limits.clients)


async def test_a_second_listener_gets_the_latest_value_at_once(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """It comes from the page's memory and is marked as a snapshot."""
    page = await following(open_page, gateway, "price:SOL")
    seq = await gateway.publish("price", "SOL", price=3)
    await got(page, 1)
    await page.evaluate("() => { listen('price:SOL'); }")
    latest = (await got(page, 2))[1]
    assert (latest["seq"], latest["price"], latest["snapshot"]) == (seq, 3, True)


async def test_a_channel_that_is_left_and_subscribed_to_again_starts_over(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Even if both happen at once, the recent trades arrive, once."""
    for size in ("1", "2"):
        seq = await gateway.publish("trade", "SOL", size=size)
    await gateway.has_read(seq)
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("() => { mine.unsubscribe(); listen('trades:SOL', { recent: 5 }); }")
    messages = await got(page, 2)
    await gateway.publish("trade", "SOL", size="3")
    messages = await got(page, 3)
    assert [message["size"] for message in messages] == ["1", "2", "3"]


async def test_an_invalid_channel_name_throws(gateway: Gateway, open_page: OpenPage) -> None:
    """The error names it, so that a typo does not look like a quiet market."""
    page = await connected(open_page, gateway)
    error = await page.evaluate("""() => {
        try { listen(["price:SOL", "trade:SOL"]); } catch (error) { return String(error); }
    }""")
    assert error == (
        "TypeError: not a channel: trade:SOL; "
        "use price:SLAB, trades:SLAB, funding:SLAB, liquidations:SLAB or market:SLAB, "
        "or * for all markets"
    )


async def test_a_refused_channel_is_reported_by_name(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """The other channels of the request are subscribed."""
    gateway = await start_gateway(max_channels_per_client=2)
    page = await connected(open_page, gateway)
    await page.evaluate("() => { listen(['price:A']); }")
    await eventually(lambda: bool(gateway.service.slab_limits.clients))
    await page.evaluate("() => { listen(['trades:B', 'price:C']); }")
    await page.wait_for_function("faults.length === 1")
    fault = await page.evaluate("faults[0]")
    assert (fault["code"], fault["channel"]) == ("channel_limit", "price:C")
    await gateway.publish("trade", "B")
    await got(page, 1)


async def test_a_page_that_resubscribes_often_stays_within_the_message_limit(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """Requests are combined, so that only the final state is requested."""
    gateway = await start_gateway(messages_per_second=10, message_burst=20)
    page = await connected(open_page, gateway)
    await page.evaluate("""async () => {
        for (let turn = 0; turn < 100; turn += 1) {
            globalThis.mine?.unsubscribe();
            globalThis.mine = listen([`trades:S${turn}`, `price:S${turn}`]);
            await new Promise((resolve) => setTimeout(resolve, 5));
        }
    }""")
    await eventually(lambda: gateway.service.slab_limits.clients == {"S99": 1})
    assert await page.evaluate("faults") == []


async def test_many_channels_are_split_over_several_messages(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """All of 500 channels with long names are subscribed, and after a reconnect resumed."""
    gateway = await start_gateway(
        max_channels_per_client=0, messages_per_second=10, message_burst=20
    )
    page = await connected(open_page, gateway)
    slabs = [f"{number:03d}".ljust(20, "x") for number in range(250)]
    channels = [f"{kind}:{slab}" for slab in slabs for kind in ("trades", "price")]
    await page.evaluate("(channels) => { listen(channels); }", channels)
    hub = gateway.service.hub

    def followed() -> int:
        return sum(bool(log.followers) for log in hub.book.logs.values())

    await eventually(lambda: followed() == 500)
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await eventually(lambda: followed() == 0)
    await eventually(lambda: followed() == 500)
    assert await page.evaluate("faults") == []


async def test_a_listener_that_throws_does_not_affect_the_others(
    gateway: Gateway,
    browser: Any,  # noqa: ANN401 - a browser
) -> None:
    """Its error is reported as the page's own, and the other listeners get every event."""
    page = await browser.new_page()
    try:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{gateway.port}{BLANK}")
        await page.evaluate(CONNECT)
        await page.evaluate("""() => {
            feed.subscribe("trades:SOL", () => { throw new Error("listener failed"); });
            listen("trades:SOL");
        }""")
        await eventually(lambda: bool(gateway.service.slab_limits.clients))
        for size in ("1", "2"):
            await gateway.publish("trade", "SOL", size=size)
        assert [message["size"] for message in await got(page, 2)] == ["1", "2"]
        assert errors == ["listener failed", "listener failed"]
    finally:
        await page.close()


async def test_closing_a_feed_ends_its_subscriptions_and_its_connection(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Loops end, the connection closes, and the feed does not reconnect."""
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("""async () => {
        const rest = (async () => { for await (const _ of feed.subscribe("price:SOL")); })();
        feed.close();
        await rest;
    }""")
    await eventually(lambda: gateway.service.admission.places.total == 0)
    assert await page.evaluate("feed.state.name") == "closed"
    error = await page.evaluate(
        "() => { try { listen('price:SOL'); } catch (e) { return `${e}`; } }"
    )
    assert error == "Error: the feed is closed: call connect() again"


async def test_a_page_can_use_the_legacy_form_of_subscribe(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """With slabAddress, over a plain WebSocket, it gets three channels of the market."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate("""() => {
        globalThis.got = [];
        const socket = new WebSocket(`ws://${location.host}`);
        socket.onopen = () => socket.send('{"type":"subscribe","slabAddress":"SOL"}');
        socket.onmessage = ({ data }) => got.push(JSON.parse(data));
    }""")
    greeting, ack = await got(page, 2)
    assert greeting["message"] == "Percolator WebSocket connected"
    assert ack["channels"] == ["price:SOL", "trades:SOL", "funding:SOL"]
    assert ack["slabAddress"] == "SOL"
    await gateway.publish("price", "SOL", price=1.5)
    await gateway.publish("trade", "SOL")
    await gateway.publish("funding", "SOL")
    kinds = [message["type"] for message in (await got(page, 5))[2:]]
    assert sorted(kinds) == ["funding", "price", "trade"]
