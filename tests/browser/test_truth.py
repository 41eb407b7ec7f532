"""The browser client tells the page the truth: of its state, of refusals, and of what is missing.

A scripted gateway sends what an honest one sends only in rare cases.
"""

import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import BLANK, OpenPage, StartGateway
from tests.browser.test_client import CONNECT, connected, got
from tests.gateway import Gateway, eventually
from tests.scripted import NO_LIMITS, Peer, ScriptedGateway, scripted, trade

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO = {"type": "connected", "epoch": "e", "seq": 5, "limits": NO_LIMITS, "heartbeatMs": 0}
OPEN = """async ([url, channels, options]) => {
    const { connect } = await import("/percolator.js");
    Object.assign(globalThis, { got: [], states: [], faults: [], unknown: [] });
    globalThis.feed = connect(url, options);
    feed.on("state", (state) => states.push(state));
    feed.on("error", (fault) => faults.push(fault));
    feed.on("unknown", (channel) => unknown.push(channel));
    globalThis.listen = (names, rest) => feed.subscribe(names, (m) => got.push(m), rest);
    if (channels.length > 0) listen(channels);
}"""


async def opened(
    open_page: OpenPage, served: Gateway, gateway: ScriptedGateway, *channels: str
) -> Page:
    """Open a page of an honest gateway whose feed connects to a scripted one."""
    page = await open_page(f"http://127.0.0.1:{served.port}{BLANK}")
    await page.evaluate(OPEN, [gateway.url, list(channels), {}])
    return page


async def is_in(page: Page, name: str) -> dict[str, Any]:
    """Wait until the feed is in a state, and return it."""
    await page.wait_for_function(f"feed.state.name === '{name}'")
    state: dict[str, Any] = await page.evaluate("feed.state")
    return state


async def test_a_feed_that_the_gateway_calls_stale_is_stale_until_it_is_live_again(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """From the greeting on, and whenever it changes."""
    async with scripted(hello=HELLO | {"feed": {"state": "stale", "since": 7}}) as scripts:
        page = await opened(open_page, gateway, scripts, "trades:SOL")
        assert (await is_in(page, "stale"))["since"] == 7
        peer = await scripts.subscribed()
        await peer.send({"type": "feed", "state": "live", "seq": 9})
        await is_in(page, "live")
        await peer.send({"type": "feed", "state": "stale", "since": 8})
        assert (await is_in(page, "stale"))["since"] == 8


async def test_a_feed_is_live_only_when_every_channel_is_subscribed(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """One that is refused is named as the reason, is a message, and is asked again."""
    refused: list[str] = []

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        if "trades:FULL" in request.get("channels", []) and not refused:
            refused.append("trades:FULL")
            await peer.refuse(request, "slab_limit", "trades:FULL")
            request = request | {"channels": ["trades:SOL"]}
        await peer.accept(request)

    async with scripted(hello=HELLO, answer=answer) as scripts:
        page = await opened(open_page, gateway, scripts, "trades:SOL", "trades:FULL")
        await is_in(page, "live")
        assert len(scripts.peers) == 1
        assert {"type": "refused", "channel": "trades:FULL", "code": "slab_limit"}.items() <= (
            await got(page, 1)
        )[0].items()
        states = await page.evaluate("states.map(({ name, reason }) => [name, reason ?? ''])")
        assert states == [
            ["connecting", ""],
            ["connecting", "trades:FULL is refused"],
            ["connecting", ""],
            ["live", ""],
        ]


async def test_requests_keep_to_the_limits_of_the_greeting(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """Few and small messages: all channels are in force, on one connection."""
    limits = {"messages_per_second": 20, "message_burst": 5, "max_message_bytes": 300}
    strict = await start_gateway(**limits)
    page = await open_page(f"http://127.0.0.1:{strict.port}{BLANK}")
    await page.evaluate(CONNECT)
    await page.evaluate("listen(Array.from({ length: 60 }, (_, n) => `trades:MARKET${n}`))")
    await page.wait_for_function("feed.state.name === 'live'")
    assert strict.service.stats.closed == {}
    assert len(strict.service.slab_limits.clients) == 60


async def test_a_slow_token_function_is_asked_once_and_before_the_socket_is_opened(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Also if the network comes back meanwhile."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    async with scripted(hello=HELLO) as scripts:
        await page.evaluate(
            """async (url) => {
                const { connect } = await import("/percolator.js");
                globalThis.asked = 0;
                const token = () => new Promise((resolve) => {
                    asked += 1;
                    globalThis.answer = resolve;
                });
                globalThis.feed = connect(url, { token });
                dispatchEvent(new Event("online"));
            }""",
            scripts.url,
        )
        assert await page.evaluate("[asked, feed.state.name]") == [1, "connecting"]
        assert scripts.peers == []
        await page.evaluate("answer('the token')")
        await is_in(page, "live")
        assert [each["token"] for each in scripts.peers[0].asked("auth")] == ["the token"]
        assert await page.evaluate("asked") == 1


async def test_a_token_function_that_never_answers_is_the_reason_of_the_wait(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """After 10 s; the next attempt waits for the same answer."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.clock.install()
    await page.evaluate("""async () => {
        const { connect } = await import("/percolator.js");
        globalThis.asked = 0;
        const token = () => new Promise(() => { asked += 1; });
        globalThis.feed = connect(undefined, { token });
    }""")
    await page.clock.run_for(10_000)
    waiting = await is_in(page, "waiting")
    assert waiting["reason"] == "the page's token function does not answer"
    await page.clock.run_for(1_000)
    assert await page.evaluate("[asked, feed.state.name]") == [1, "connecting"]


async def test_a_token_function_that_fails_is_the_reason_of_the_wait(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """And it is an error, but not one that is thrown."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate("""async () => {
        const { connect } = await import("/percolator.js");
        const token = async () => { throw new Error("no login"); };
        globalThis.feed = connect(undefined, { token });
        feed.on("error", () => {});
    }""")
    assert (await is_in(page, "waiting"))["reason"].endswith("no login")


async def test_a_token_that_is_not_needed_is_no_error(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The gateway requires none."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(OPEN, ["ws", ["trades:SOL"], {"token": "unneeded"}])
    await is_in(page, "live")
    assert await page.evaluate("faults") == []


async def test_channels_without_events_are_named(gateway: Gateway, open_page: OpenPage) -> None:
    """A name in the wrong case looks like a quiet market otherwise."""
    await gateway.has_read(await gateway.publish("trade", "SOL"))
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(OPEN, ["ws", ["trades:SOL", "trades:sol"], {}])
    await is_in(page, "live")
    assert await page.evaluate("unknown") == ["trades:sol"]


async def test_a_page_that_leaves_closes_with_1000(gateway: Gateway, open_page: OpenPage) -> None:
    """It is no fault."""
    page = await connected(open_page, gateway)
    await page.evaluate("feed.close()")
    await eventually(lambda: gateway.service.stats.closed[1000] == 1)


async def test_an_address_keeps_its_path_prefix(gateway: Gateway, open_page: OpenPage) -> None:
    """And one that ends in /ws stays as it is."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    found = await page.evaluate("""async () => {
        const { addressOf } = await import("/percolator/address.js");
        const a = "https://a.example/feed";
        const urls = [a, `${a}/ws`, "ws", "wss://b.example"];
        return urls.map((url) => addressOf(url, "https://c.example/x/percolator.js"));
    }""")
    assert found == [
        *("wss://a.example/feed/ws", "wss://a.example/feed/ws"),
        *("wss://c.example/x/ws", "wss://b.example/ws"),
    ]


async def test_failed_attempts_are_logged_once_per_cause(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """In the console, as information."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    async with scripted(hello={"type": "news"}) as scripts:
        await page.evaluate(OPEN, [scripts.url, [], {}])
        await scripts.peer(3)
    assert len([text for text in logged if text.startswith("percolator: ")]) == 1


async def test_a_second_subscription_gets_its_own_recent_events(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The first one gets none of them again, and both go on."""
    for size in "123":
        await gateway.has_read(await gateway.publish("trade", "SOL", size=size))
    page = await connected(open_page, gateway)
    await page.evaluate("""() => {
        Object.assign(globalThis, { one: [], two: [] });
        feed.subscribe("trades:SOL", (m) => one.push(m.size));
    }""")
    await is_in(page, "live")
    await gateway.publish("trade", "SOL", size="4")
    await page.wait_for_function("one.length === 1")
    await page.evaluate("feed.subscribe('trades:SOL', (m) => two.push(m.size), { recent: 3 })")
    await page.wait_for_function("two.length === 3")
    await gateway.publish("trade", "SOL", size="5")
    await page.wait_for_function("two.length === 4")
    assert await page.evaluate("[one, two]") == [["4", "5"], ["2", "3", "4", "5"]]


async def test_a_bookmark_goes_on_where_a_page_stopped(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """In another feed, from JSON; without a loss, and with nothing twice."""
    page = await connected(open_page, gateway)
    await page.evaluate("() => { listen(['trades:SOL', 'trades:BTC']); }")
    await is_in(page, "live")
    first = await gateway.publish("trade", "SOL", size="1")
    await got(page, 1)
    stored = await page.evaluate("JSON.stringify(feed.bookmark())")
    epoch = gateway.service.book.epoch
    assert json.loads(stored)["trades:SOL"] == {"epoch": epoch, "seq": first}
    await page.evaluate("feed.close()")
    for slab in ("SOL", "BTC"):
        await gateway.publish("trade", slab, size="2")
    await page.evaluate(CONNECT)
    await page.evaluate(
        "(stored) => { listen(['trades:SOL', 'trades:BTC'], { since: JSON.parse(stored) }); }",
        stored,
    )
    messages = await got(page, 2)
    assert sorted(one["slab"] + one["size"] for one in messages) == ["BTC2", "SOL2"]
    assert {one["epoch"] for one in messages} == {epoch}


async def test_a_bookmark_of_a_replaced_stream_is_answered_with_a_gap(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Never with silence."""
    page = await connected(open_page, gateway)
    since = {"trades:SOL": {"epoch": "another", "seq": 4}}
    await page.evaluate("(since) => { listen('trades:SOL', { since }); }", since)
    (gap,) = await got(page, 1)
    assert (gap["type"], gap["from"], gap["epoch"]) == ("gap", 4, gateway.service.book.epoch)


async def test_a_heartbeat_moves_the_place_to_resume(gateway: Gateway, open_page: OpenPage) -> None:
    """A quiet channel need not be replayed from its last event."""
    async with scripted(hello=HELLO) as scripts:
        page = await opened(open_page, gateway, scripts, "trades:SOL")
        peer = await scripts.subscribed()
        await is_in(page, "live")
        await peer.send({"type": "heartbeat", "timestamp": 1, "seq": 900})
        await page.wait_for_function("feed.bookmark()['trades:SOL'].seq === 900")
        peer.socket.transport.abort()
        again = await scripts.subscribed(2)
        assert again.asked("subscribe")[0]["since"] == {"trades:SOL": 900}


async def test_each_listener_of_a_wildcard_and_a_market_gets_each_event_once(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """One listener has all markets, one has one of them, and one has both."""
    page = await connected(open_page, gateway)
    await page.evaluate("""() => {
        const both = ["trades:*", "trades:SOL"];
        globalThis.lists = [["trades:*"], ["trades:SOL"], both].map((names) => {
            const list = [];
            feed.subscribe(names, (m) => list.push(`${m.slab}${m.size}`));
            return list;
        });
    }""")
    await is_in(page, "live")
    for slab, size in (("SOL", "1"), ("NEW", "2"), ("SOL", "3")):
        await gateway.publish("trade", slab, size=size)
    await page.wait_for_function("lists[0].length === 3 && lists[2].length === 3")
    everything = ["SOL1", "NEW2", "SOL3"]
    assert await page.evaluate("lists") == [everything, ["SOL1", "SOL3"], everything]


async def test_a_gap_of_all_markets_is_one_of_each_market_of_the_wildcard(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Events that it covers do not come afterwards, and it is no second gap for what follows it."""
    async with scripted(hello=HELLO) as scripts:
        page = await opened(open_page, gateway, scripts, "trades:*")
        peer = await scripts.subscribed()
        await peer.send(
            trade(6, 0, "A"),
            trade(7, 0, "B"),
            {"type": "gap", "channel": "trades:*", "from": 7, "to": 20},
            trade(20, 15, "A"),
            trade(21, 19, "B"),
        )
        messages = await got(page, 5)
        assert [one.get("seq", one["type"]) for one in messages] == [6, 7, "gap", 20, 21]
