"""What percolator.js takes for lost, doubled or of another stream: channel.js, event by event."""

from typing import Any

import pytest

from tests.browser.conftest import BLANK, OpenPage
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

Given = dict[str, Any]

PLAY = """async ([name, steps]) => {
    const { Channel } = await import("/percolator/channel.js");
    const channel = new Channel(name, 0);
    const out = [];
    for (const { epoch = "one", lost, opened, gap, ...event } of steps) {
        if (lost) channel.lost();
        else if (opened !== undefined) channel.opened(opened, epoch);
        else if (gap) out.push(...channel.skip({ type: "gap", ...gap }, epoch));
        else out.push(...channel.take(event, epoch));
    }
    const said = (m) => m.type === "gap" ? `gap ${m.from} ${m.to} ${m.epoch ?? ""}`.trim() : m.seq;
    return [out.map(said), channel.last, channel.epoch];
}"""


def trade(seq: int, prev: int | None = None, **fields: object) -> Given:
    """A trade, as far as it matters here."""
    return {"type": "trade", "seq": seq, "prev": prev, **fields}


def price(seq: int, **fields: object) -> Given:
    """A price, likewise."""
    return {"type": "price", "seq": seq, **fields}


LOST = {"lost": True}
"""The connection is gone."""
REPLACED = {"gap": {"from": 90, "to": 1, "epoch": "two"}, "epoch": "two"}
"""What the gateway says of a stream that took the place of another."""

CASES: dict[str, tuple[str, list[Given], list[object], int | None]] = {
    "a chain without a break": (
        "trades:A",
        [trade(3, 0), trade(5, 3), trade(9, 5)],
        [3, 5, 9],
        9,
    ),
    "a double is dropped": (
        "trades:A",
        [trade(3, 0), trade(3, 0), trade(5, 3), trade(3, 0)],
        [3, 5],
        5,
    ),
    "a number greater than the last seq is a loss": (
        "trades:A",
        [trade(3, 0), trade(9, 7)],
        [3, "gap 3 9", 9],
        9,
    ),
    "an unknown prev is no loss": ("trades:A", [trade(3, 0), trade(9, None)], [3, 9], 9),
    "the first event has lost nothing": ("trades:A", [trade(9, 7)], [9], 9),
    "what a gap names is not missed": (
        "trades:A",
        [trade(3, 0), {"gap": {"from": 3, "to": 8}}, trade(8, 7), trade(9, 8)],
        [3, "gap 3 8", 8, 9],
        9,
    ),
    "a gap that ends before what is known takes nothing back": (
        "trades:A",
        [trade(9, 0), {"gap": {"from": 3, "to": 8}}, trade(9, 0)],
        [9, "gap 3 8"],
        9,
    ),
    "it is resumed where it stopped": (
        "trades:A",
        [{"opened": 2}, trade(3, 0), LOST, {"opened": 20}, trade(7, 3)],
        [3, 7],
        7,
    ),
    "without an event it is resumed where it was opened": (
        "trades:A",
        [{"opened": 5}, LOST, {"opened": 20}, trade(5, 0), trade(7, 0), trade(9, 7)],
        [7, 9],
        9,
    ),
    "what came between opening and the first event is missed after a resume": (
        "trades:A",
        [{"opened": 5}, LOST, trade(9, 7)],
        ["gap 5 9", 9],
        9,
    ),
    "a gap into another stream starts the seqs again": (
        "trades:A",
        [trade(90, 0), REPLACED, trade(4, 0, epoch="two")],
        [90, "gap 90 1 two", 4],
        4,
    ),
    "another stream without a word of it is a gap all the same": (
        "trades:A",
        [trade(90, 0), LOST, trade(4, 0, epoch="two"), trade(5, 4, epoch="two")],
        [90, "gap 90 4 two", 4, 5],
        5,
    ),
    "a price is dropped that is known": ("price:A", [price(5), LOST, price(5)], [5], 5),
    "a gateway that is behind shows no older price": (
        "price:A",
        [price(9), LOST, price(5), price(7), price(11)],
        [9, 11],
        11,
    ),
    "a price that goes back on one connection is of a new stream": (
        "price:A",
        [price(90), price(4), price(5)],
        [90, 4, 5],
        5,
    ),
    "prices have no gaps": ("price:A", [price(3), price(90), price(4, epoch="two")], [3, 90, 4], 4),
}


async def test_a_channel_gives_what_is_new_and_names_what_is_lost(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """Each case by its name."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    found = {
        case: (await page.evaluate(PLAY, [name, steps]))[:2]
        for case, (name, steps, _, _) in CASES.items()
    }
    assert found == {case: [given, last] for case, (_, _, given, last) in CASES.items()}
