"""percolator.js in a page, connected to a hostile gateway."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import BLANK, OpenPage
from tests.gateway import Gateway
from tests.hostile import (
    CONNECTED,
    TRADE,
    HostileGateway,
    binary,
    close,
    hostile_gateway,
    saying,
    text,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT = """async (url) => {
    const { connect } = await import("/percolator.js");
    Object.assign(globalThis, { got: [], states: [], faults: [], feed: connect(url) });
    feed.on("state", (state) => states.push(state));
    feed.on("error", (fault) => faults.push(fault));
    feed.subscribe("trades:SOL", (message) => got.push(message));
}"""
SUBSCRIBED = {"type": "subscribed", "channels": ["trades:SOL"], "id": 1}
GAP = {"type": "gap", "channel": "trades:SOL", "from": 1, "to": 3}
BAD_SEQS: list[object] = [2**63, -1, 1.5, "7", True, None]
BAD_SLABS: list[object] = [None, "a b", {}]
BAD_LISTS: list[object] = [None, 5, [5]]
BAD_CHANNELS: list[object] = [None, 5, "x"]
INVALID: dict[str, list[object]] = {
    "no object with a type": [None, 5, "x", [1], {}, {"type": 5}],
    "trade with an invalid seq": [TRADE | {"seq": value} for value in BAD_SEQS],
    "trade with an invalid prev": [TRADE | {"prev": value} for value in BAD_SEQS[:-1]],
    "trade with an invalid slab": [TRADE | {"slab": value} for value in BAD_SLABS],
    "gap with an invalid to": [GAP | {"to": value} for value in BAD_SEQS],
    "gap with an invalid from": [GAP | {"from": "<b>"}],
    "gap with an invalid channel": [GAP | {"channel": value} for value in BAD_CHANNELS],
    "gap with an invalid epoch": [GAP | {"epoch": None}],
    "subscribed with an invalid channels": [
        SUBSCRIBED | {"channels": value} for value in BAD_LISTS
    ],
    "error with an invalid code": [{"type": "error", "message": "x"}],
    "error with an invalid message": [{"type": "error", "code": "x", "message": {}}],
    "connected with an invalid seq": [CONNECTED | {"seq": "9"}],
}


async def connected(open_page: OpenPage, honest: Gateway, gateway: HostileGateway) -> Page:
    """Open a page of an honest gateway that connects to the hostile one."""
    page = await open_page(f"http://127.0.0.1:{honest.port}{BLANK}")
    await page.evaluate(CONNECT, gateway.ws)
    return page


async def test_an_invalid_message_ends_the_connection_with_its_reason(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Nothing is thrown; what came before has arrived, and what comes after does not."""
    sent = [
        (f"an invalid message: {why}", each) for why, values in INVALID.items() for each in values
    ]
    cases = [("invalid JSON", text("{")), ("invalid JSON", binary(b"x"))] + [
        (why, text('"x"' if each == "x" else "null" if each is None else each))
        for why, each in sent
    ]
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    for why, frame in cases:
        news, later = text({"type": "news"}), text(TRADE | {"seq": 7, "prev": 6})
        frames = text(SUBSCRIBED), news, text(TRADE | {"prev": 0}), frame, later
        with hostile_gateway(speak=saying(text(CONNECTED), *frames)) as hostile:
            await page.evaluate(CONNECT, hostile.ws)
            assert (await last_wait(page))["reason"] == f"the gateway sent {why}"
            assert await page.evaluate("got.map((message) => message.seq)") == [6]
            await page.evaluate("feed.close()")


async def last_wait(page: Page) -> dict[str, Any]:
    """Wait until the feed waits for its next attempt, and return that state."""
    waits = "states.filter((state) => state.name === 'waiting')"
    await page.wait_for_function(f"{waits}.length > 0")
    found: dict[str, Any] = await page.evaluate(f"{waits}[0]")
    return found


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        *[(1e12, 60_000, 60_000), (-1, 0, 500), (0, 0, 500), (900, 900, 900)],
        *[("soon", 250, 500), (None, 250, 500), ({}, 250, 500), ([5], 250, 500)],
    ],
)
async def test_the_wait_that_a_closing_gateway_asks_for_is_bounded(
    gateway: Gateway, open_page: OpenPage, asked: object, low: float, high: float
) -> None:
    """It is 60 s at most; what is not a number counts as if it was not given."""
    closing = {"type": "closing", "reconnectInMs": asked}
    frames = text(CONNECTED), text(SUBSCRIBED), text(closing), close("bye")
    with hostile_gateway(speak=saying(*frames)) as hostile:
        page = await connected(open_page, gateway, hostile)
        state = await last_wait(page)
        assert low <= state["retryAt"] - state["since"] <= high


async def test_a_gateway_that_always_asks_for_no_wait_gets_two_attempts_per_second(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """It cannot make the page connect in a loop."""
    closing = {"type": "closing", "reconnectInMs": 0}
    frames = text(CONNECTED), text(SUBSCRIBED), text(closing), close("bye")
    with hostile_gateway(speak=saying(*frames)) as hostile:
        page = await connected(open_page, gateway, hostile)
        tries = "states.filter((state) => state.name === 'connecting')"
        await page.wait_for_function(f"{tries}.length >= 4")
        times = await page.evaluate(f"{tries}.map((state) => state.since)")
        assert times[3] - times[0] >= 3 * 490
