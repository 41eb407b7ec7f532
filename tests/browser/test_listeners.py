"""channels.js: a second listener gets all that it asks for, and the first one loses nothing.

The steps are those between a page and its gateway, so that a request can wait as long as a test
wants: at a real gateway, that is as long as the limit of its messages makes it wait.
"""

from typing import Any

import pytest

from tests.browser.conftest import BLANK, OpenPage
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORLD = """async () => {
    const { Channels } = await import("/percolator/channels.js");
    const { Subscription } = await import("/percolator/subscription.js");
    globalThis.channels = new Channels();
    channels.greeted({ epoch: "e", seq: 100 });
    let id = 0;
    globalThis.listen = (names, { since, recent } = {}) => {
        const got = [];
        const listener = (m) => got.push(m.type === "gap" ? `gap ${m.from} ${m.to}` : m.seq);
        channels.add(new Subscription(names, { listener, since, recent, leave: () => {} }));
        return got;
    };
    globalThis.send = () => {
        const requests = channels.requests({ messageBytes: 4096, channels: 200 });
        for (const request of requests) channels.sent(Object.assign(request, { id: ++id }));
        return requests.filter((request) => request.type === "subscribe");
    };
    globalThis.accept = (sent) => { for (const request of sent) channels.subscribed(request); };
    globalThis.trade = (seq, prev) => channels.event({ type: "trade", slab: "A", seq, prev });
    globalThis.price = (seq, more) => channels.event({ type: "price", slab: "A", seq, ...more });
    globalThis.at = (seq, epoch = "e") => ({ "trades:A": { epoch, seq } });
}"""


async def played(page_of: OpenPage, gateway: Gateway, steps: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what some steps return in a page."""
    page = await page_of(f"http://127.0.0.1:{gateway.port}{BLANK}")
    await page.evaluate(WORLD)
    return await page.evaluate(f"async () => {{ {steps} }}")


async def test_a_listener_with_a_bookmark_gets_no_event_before_its_request_is_accepted(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """A live event meanwhile is not a gap for it, and comes in its place in the replay."""
    found = await played(open_page, gateway, """
        const first = listen(["trades:A"]);
        accept(send());
        trade(110, 0); trade(120, 110);
        const second = listen(["trades:A"], { since: at(110) });
        trade(130, 120);
        const sent = send();
        accept(sent);
        trade(120, 110); trade(130, 120); trade(140, 130);
        return [first, second, sent[0].since];""")  # fmt: skip
    assert found == [[110, 120, 130, 140], [120, 130, 140], {"trades:A": 110}]


async def test_a_request_that_was_sent_before_does_not_start_a_listener_with_a_bookmark(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Its position is further back than where that request starts."""
    found = await played(open_page, gateway, """
        const first = listen(["trades:A"], { since: at(120) });
        const sent = send();
        const second = listen(["trades:A"], { since: at(110) });
        accept(sent);
        trade(130, 120);
        accept(send());
        trade(120, 110); trade(130, 120);
        return [first, second];""")  # fmt: skip
    assert found == [[130], [120, 130]]


async def test_a_listener_that_asks_for_recent_trades_gets_the_latest_price_at_once(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Another one has the price: the gateway sends it only once."""
    found = await played(open_page, gateway, """
        listen(["price:A"]);
        accept(send());
        price(101, { snapshot: true });
        const second = listen(["price:A", "trades:A"], { recent: 5 });
        await null;
        return second;""")  # fmt: skip
    assert found == [101]


async def test_a_price_that_was_held_back_reaches_a_new_listener(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Its seq may be lower than that of what other channels have sent meanwhile."""
    found = await played(open_page, gateway, """
        listen(["price:A"]);
        accept(send());
        const second = listen(["price:A"]);
        await null; // what the page knows has been shown
        price(99);
        return second;""")  # fmt: skip
    assert found == [99]


async def test_a_bookmark_holds_the_earlier_of_two_positions_in_a_replaced_stream(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Nothing that either listener lacks is left out."""
    found = await played(open_page, gateway, """
        listen(["trades:A"], { since: at(20, "old") });
        listen(["trades:A"], { since: at(10, "old") });
        return channels.bookmark();""")  # fmt: skip
    assert found == {"trades:A": {"epoch": "old", "seq": 10}}
