"""reader.js, event by event: missing events, duplicates, and replaced streams."""

from typing import Any

import pytest

from tests.browser.conftest import BLANK, OpenPage
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

Given = dict[str, Any]

PLAY = """async ([name, steps]) => {
    const { Reader } = await import("/percolator/reader.js");
    const reader = new Reader(name);
    reader.requested(0);
    if (steps[0].subscribed === undefined) reader.begin(0, "one");
    const out = [];
    for (const { epoch = "one", lost, subscribed, gap, ...event } of steps) {
        if (lost) reader.anchor();
        else if (subscribed !== undefined) reader.begin(subscribed, epoch);
        else if (gap) out.push(...reader.skip({ type: "gap", ...gap }, epoch));
        else out.push(...reader.accept(event, epoch));
    }
    const short = (m) => m.type === "gap" ? `gap ${m.from} ${m.to} ${m.epoch ?? ""}`.trim() : m.seq;
    return [out.map(short), reader.position.seq];
}"""


def trade(seq: int, prev: int | None = None, **fields: object) -> Given:
    """Return a trade, with the fields that reader.js reads."""
    return {"type": "trade", "seq": seq, "prev": prev, **fields}


def liquidation(seq: int, prev: int | None = None) -> Given:
    """Return a liquidation, with the fields that reader.js reads."""
    return {"type": "liquidation", "seq": seq, "prev": prev}


def price(seq: int, **fields: object) -> Given:
    """Return a price, with the fields that reader.js reads."""
    return {"type": "price", "seq": seq, **fields}


LOST = {"lost": True}
"""The connection was lost."""
REPLACED = {"gap": {"from": 90, "to": 1, "epoch": "two"}, "epoch": "two"}
"""The gap that the gateway sends when another stream has replaced the first one."""

CASES: dict[str, tuple[str, list[Given], list[object], int | None]] = {
    "an unbroken chain is passed on": (
        "trades:A",
        [trade(3, 0), trade(5, 3), trade(9, 5)],
        [3, 5, 9],
        9,
    ),
    "a duplicate is dropped": (
        "trades:A",
        [trade(3, 0), trade(3, 0), trade(5, 3), trade(3, 0)],
        [3, 5],
        5,
    ),
    "a prev greater than the last seq is a gap": (
        "trades:A",
        [trade(3, 0), trade(9, 7)],
        [3, "gap 3 9", 9],
        9,
    ),
    "an unknown prev is not a gap": ("trades:A", [trade(3, 0), trade(9, None)], [3, 9], 9),
    "the first event is never after a gap": ("trades:A", [trade(9, 7)], [9], 9),
    "a reported gap is not reported twice": (
        "trades:A",
        [trade(3, 0), {"gap": {"from": 3, "to": 8}}, trade(8, 7), trade(9, 8)],
        [3, "gap 3 8", 8, 9],
        9,
    ),
    "a gap that ends before the last seq is no news": (
        "trades:A",
        [trade(9, 0), {"gap": {"from": 3, "to": 8}}, trade(9, 0)],
        [9],
        9,
    ),
    "a channel resumes after its last event": (
        "trades:A",
        [{"subscribed": 2}, trade(3, 0), LOST, {"subscribed": 20}, trade(7, 3)],
        [3, 7],
        7,
    ),
    "a channel without events resumes from its subscription": (
        "trades:A",
        [{"subscribed": 5}, LOST, {"subscribed": 20}, trade(5, 0), trade(7, 0), trade(9, 7)],
        [7, 9],
        9,
    ),
    "events between the subscription and the first event count as missed after a resume": (
        "trades:A",
        [{"subscribed": 5}, LOST, trade(9, 7)],
        ["gap 5 9", 9],
        9,
    ),
    "a gap with a new epoch starts the seqs again": (
        "trades:A",
        [trade(90, 0), REPLACED, trade(4, 0, epoch="two")],
        [90, "gap 90 1 two", 4],
        4,
    ),
    "a new epoch without a gap from the gateway becomes a gap": (
        "trades:A",
        [trade(90, 0), LOST, trade(4, 0, epoch="two"), trade(5, 4, epoch="two")],
        [90, "gap 90 4 two", 4, 5],
        5,
    ),
    "a known price is dropped": ("price:A", [price(5), LOST, price(5)], [5], 5),
    "an older price from another connection is dropped": (
        "price:A",
        [price(9), LOST, price(5), price(7), price(11)],
        [9, 11],
        11,
    ),
    "an older price on the same connection belongs to a new stream": (
        "price:A",
        [price(90), price(4), price(5)],
        [90, 4, 5],
        5,
    ),
    "every lossless kind has gaps": (
        "liquidations:A",
        [liquidation(3, 0), liquidation(9, 7)],
        [3, "gap 3 9", 9],
        9,
    ),
    "prices never have gaps": (
        "price:A",
        [price(3), price(90), price(4, epoch="two")],
        [3, 90, 4],
        4,
    ),
}


async def test_a_channel_passes_on_new_events_and_reports_missing_ones(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Each of CASES is one sequence of events."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    found = {
        case: await page.evaluate(PLAY, [name, steps])
        for case, (name, steps, _, _) in CASES.items()
    }
    assert found == {case: [given, last] for case, (_, _, given, last) in CASES.items()}
