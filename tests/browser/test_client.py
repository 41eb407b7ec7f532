"""percolator.js in a page, against a real gateway: what a team's page gets, and when."""

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
    """Open a blank page whose feed is live."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(CONNECT)
    await page.wait_for_function("feed.state.name === 'live'")
    return page


async def following(open_page: OpenPage, gateway: Gateway, *channels: str) -> Page:
    """Open a blank page that follows channels."""
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
    """Wait for so many messages; give them all."""
    await page.wait_for_function(f"got.length >= {count}")
    found: list[dict[str, Any]] = json.loads(await page.evaluate("JSON.stringify(got)"))
    return found


async def test_a_page_gets_what_it_subscribed_to(gateway: Gateway, open_page: OpenPage) -> None:
    """Prices, trades and funding rates, with all of their fields."""
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


async def test_a_page_may_iterate(gateway: Gateway, open_page: OpenPage) -> None:
    """Nothing is lost between the subscription and the loop; leaving the loop unsubscribes."""
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


async def test_a_page_that_does_not_read_is_told_what_it_missed(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """A queue is bounded: what does not fit any more becomes a gap, and memory stays flat."""
    page = await connected(open_page, gateway)
    found = await page.evaluate("""async () => {
        const { Subscription } = await import("/percolator/subscription.js");
        const queue = new Subscription(["trades:SOL", "price:SOL"], undefined, () => {});
        for (let seq = 1; seq <= 25_000; seq += 1) {
            const type = seq % 2 ? "trade" : "price";
            queue.push({ type, slab: "SOL", seq, prev: type === "trade" ? seq - 2 : undefined });
        }
        const first = [await queue.next(), await queue.next()].map(({ value }) => value);
        let left = 0;
        const rest = (async () => { for await (const message of queue) left += 1; })();
        queue.unsubscribe();
        await rest;
        return [first, left];
    }""")
    (gap, price), left = found
    assert gap == {"type": "gap", "channel": "trades:SOL", "from": -1, "to": 19_998}
    assert price["seq"] == 19_998
    assert 0 < left <= 10_000


async def test_the_last_listener_that_leaves_unsubscribes(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Two listeners share a channel, and the gateway sends it once."""
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("() => { globalThis.second = listen('trades:SOL'); }")
    await page.evaluate("mine.unsubscribe()")
    await gateway.publish("trade", "SOL", size="1")
    assert [message["size"] for message in await got(page, 1)] == ["1"]
    await page.evaluate("second.unsubscribe()")
    await eventually(lambda: not gateway.service.slab_limits.clients)


async def test_who_comes_later_gets_the_last_value_at_once(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """From the page's own memory, marked as a snapshot, as the gateway would."""
    page = await following(open_page, gateway, "price:SOL")
    seq = await gateway.publish("price", "SOL", price=3)
    await got(page, 1)
    await page.evaluate("() => { listen('price:SOL'); }")
    latest = (await got(page, 2))[1]
    assert (latest["seq"], latest["price"], latest["snapshot"]) == (seq, 3, True)


async def test_a_channel_taken_up_again_starts_anew(gateway: Gateway, open_page: OpenPage) -> None:
    """Left and taken up in one breath: the last trades come, once."""
    for size in ("1", "2"):
        seq = await gateway.publish("trade", "SOL", size=size)
    await gateway.has_read(seq)
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("() => { mine.unsubscribe(); listen('trades:SOL', { recent: 5 }); }")
    messages = await got(page, 2)
    await gateway.publish("trade", "SOL", size="3")
    messages = await got(page, 3)
    assert [message["size"] for message in messages] == ["1", "2", "3"]


async def test_what_is_no_channel_is_an_error_of_the_page(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """At once, and by name: a typing error must not look like a quiet market."""
    page = await connected(open_page, gateway)
    said = await page.evaluate("""() => {
        try { listen(["price:SOL", "trade:SOL"]); } catch (error) { return String(error); }
    }""")
    assert said.startswith("TypeError: not a channel: trade:SOL;")


async def test_what_the_gateway_refuses_is_told_with_its_channel(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """The rest of the request is in force."""
    gateway = await start_gateway(max_channels_per_client=2)
    page = await connected(open_page, gateway)
    await page.evaluate("() => { listen(['price:A', 'trades:A', 'price:B']); }")
    await page.wait_for_function("faults.length === 1")
    fault = await page.evaluate("faults[0]")
    assert (fault["code"], fault["channel"]) == ("channel_limit", "price:B")
    await gateway.publish("trade", "A")
    await got(page, 1)


async def test_a_page_that_changes_its_mind_often_is_never_too_fast(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """Only what is wanted in the end is asked for: the limit of messages is not met."""
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


async def test_many_channels_fit_into_messages(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """500 channels of long names are asked for in parts, resumed too, and all of them follow."""
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


async def test_a_listener_that_throws_stops_nobody(gateway: Gateway, browser: Any) -> None:  # noqa: ANN401 - a browser
    """Its error is the page's own, and is reported as such; the others get everything."""
    page = await browser.new_page()
    try:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{gateway.port}{BLANK}")
        await page.evaluate(CONNECT)
        await page.evaluate("""() => {
            feed.subscribe("trades:SOL", () => { throw new Error("of the page"); });
            listen("trades:SOL");
        }""")
        await eventually(lambda: bool(gateway.service.slab_limits.clients))
        for size in ("1", "2"):
            await gateway.publish("trade", "SOL", size=size)
        assert [message["size"] for message in await got(page, 2)] == ["1", "2"]
        assert errors == ["of the page", "of the page"]
    finally:
        await page.close()


async def test_closing_ends_everything(gateway: Gateway, open_page: OpenPage) -> None:
    """Iterations end, the connection goes, and it stays gone."""
    page = await following(open_page, gateway, "trades:SOL")
    await page.evaluate("""async () => {
        const rest = (async () => { for await (const _ of feed.subscribe("price:SOL")); })();
        feed.close();
        await rest;
    }""")
    await eventually(lambda: gateway.service.admission.places.total == 0)
    assert await page.evaluate("feed.state.name") == "closed"
    said = await page.evaluate(
        "() => { try { listen('price:SOL'); } catch (e) { return `${e}`; } }"
    )
    assert said == "Error: this feed is closed: connect again"


async def test_the_legacy_form_works_from_a_page(gateway: Gateway, open_page: OpenPage) -> None:
    """A page that sends slabAddress over a bare WebSocket gets all three channels of the slab."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate("""() => {
        globalThis.got = [];
        const socket = new WebSocket(`ws://${location.host}`);
        socket.onopen = () => socket.send('{"type":"subscribe","slabAddress":"SOL"}');
        socket.onmessage = ({ data }) => got.push(JSON.parse(data));
    }""")
    greeting, ack = await got(page, 2)
    assert greeting["message"] == "Percolator WebSocket connected"
    assert ack == {"type": "subscribed", "channels": ["price:SOL", "trades:SOL", "funding:SOL"]}
    await gateway.publish("price", "SOL", price=1.5)
    await gateway.publish("trade", "SOL")
    await gateway.publish("funding", "SOL")
    kinds = [message["type"] for message in (await got(page, 5))[2:]]
    assert sorted(kinds) == ["funding", "price", "trade"]
