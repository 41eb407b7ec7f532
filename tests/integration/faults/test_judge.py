"""The judge finds each kind of fault, so a clean verdict means something."""

from dataclasses import replace

import pytest

from tests.integration.faults.judge import Truth, Verdict, judge_one
from tests.integration.faults.witness import Event, Gap, Witness

CHANNEL = "trades:A"
PUBLISHED = {seq: 100 + seq for seq in (1, 3, 5, 7, 9)}


def event(seq: int, prev: int | None, number: int | None = None) -> Event:
    """A received event."""
    return Event(seq, prev, number or 100 + seq, 0.0)


def gap(after: int, before: int, epoch: str | None = None, *, announced: bool = True) -> Gap:
    """A received gap."""
    return Gap(after, before, epoch, announced)


def verdict(seen: list[Event | Gap], *, held: set[int], since: int | None = 0) -> Verdict:
    """Judge one witness of a stream that holds some of the published events."""
    present = {seq: number for seq, number in PUBLISHED.items() if seq in held}
    witness = Witness([CHANNEL], since=since)
    witness.seen[CHANNEL] = seen
    return judge_one(Truth([{CHANNEL: PUBLISHED}], [{CHANNEL: present}]), witness)


ALL = set(PUBLISHED)
WHOLE = [event(1, 0), event(3, 1), event(5, 3), event(7, 5), event(9, 7)]


@pytest.mark.parametrize(
    ("seen", "held", "since"),
    [
        (WHOLE, ALL, 0),
        (WHOLE, set(), 0),
        (WHOLE[2:], ALL, None),
        (WHOLE[2:], ALL, 3),
        ([gap(0, 5), event(5, None), *WHOLE[3:]], {5, 7, 9}, 0),
        ([*WHOLE[:2], gap(3, 8), event(9, None)], {9}, 0),
        ([*WHOLE[:4], gap(7, 20)], set(), 0),
        ([*WHOLE, gap(9, 20)], set(), 0),
    ],
)
def test_the_judge_accepts_a_kept_contract(
    seen: list[Event | Gap], held: set[int], since: int | None
) -> None:
    """All events that the stream holds, in order, and gaps over the missing ones."""
    found = verdict(seen, held=held, since=since)
    assert found.clean, found


@pytest.mark.parametrize(
    ("seen", "held", "wrong"),
    [
        ([*WHOLE[:2], event(7, None), WHOLE[4]], ALL, {"lost": 1}),
        (WHOLE[:4], ALL, {"lost": 1}),
        ([], ALL, {"lost": 5}),
        (WHOLE[1:], ALL, {"lost": 1, "wrong_prev": 1}),
        ([*WHOLE[:3], WHOLE[2], *WHOLE[3:]], ALL, {"duplicated": 1, "wrong_prev": 1}),
        ([WHOLE[0], event(5, None), event(3, None), event(7, 5), WHOLE[4]], ALL, None),
        ([gap(0, 5), event(5, None), *WHOLE[3:]], ALL, {"false_gaps": 1}),
        ([*WHOLE[:3], gap(5, 7), event(7, None), WHOLE[4]], ALL, {"false_gaps": 1}),
        ([*WHOLE[:2], gap(6, 7), event(7, None), WHOLE[4]], {7, 9}, {"lost": 1}),
        ([*WHOLE[:2], gap(3, 8, announced=False), event(9, None)], {9}, {"lost": 1}),
        ([*WHOLE[:2], event(5, 1), *WHOLE[3:]], ALL, {"wrong_prev": 1}),
        ([*WHOLE[:2], event(5, 3, number=7), *WHOLE[3:]], ALL, {"altered": 1}),
    ],
)
def test_the_judge_finds_a_breach(
    seen: list[Event | Gap], held: set[int], wrong: dict[str, int] | None
) -> None:
    """Lost, duplicated, out of order, altered, a false gap or a wrong prev."""
    found = verdict(seen, held=held)
    assert not found.clean
    if wrong is None:
        assert found.disordered
    else:
        counted = {name: count for name, count in vars(found).items() if count}
        assert {name: counted.get(name) for name in wrong} == wrong


def test_the_judge_judges_a_new_incarnation_by_its_own_events() -> None:
    """Its seqs repeat earlier ones; an event that is missing there is lost."""
    witness = Witness([CHANNEL])
    witness.seen[CHANNEL] = [*WHOLE, gap(9, 1, "b"), event(1, 0), event(3, 1)]
    incarnations = [{CHANNEL: PUBLISHED}, {CHANNEL: {1: 101, 3: 103}}]
    assert judge_one(
        Truth(incarnations, [{CHANNEL: {}}, {CHANNEL: {1: 101, 3: 103}}]), witness
    ).clean
    more = {1: 101, 3: 103, 5: 105}
    incarnations[1] = {CHANNEL: more}
    assert judge_one(Truth(incarnations, [{CHANNEL: {}}, {CHANNEL: more}]), witness).lost == 1


def test_the_judge_finds_an_event_of_another_epoch_than_the_last_gap_named() -> None:
    """The first event names the epoch, and only a gap with an epoch changes it."""
    events = [replace(each, epoch="a") for each in WHOLE]
    assert verdict(list(events), held=ALL).clean
    assert verdict([*events[:4], replace(events[4], epoch="b")], held=ALL).altered == 1


@pytest.mark.parametrize(
    ("lost", "false_gaps"),
    [({7}, 0), ({6}, 0), ({6, 7}, 0), (set(), 2), ({9}, 2)],
    ids=["of A", "of B", "of both", "of none", "of A, later"],
)
def test_a_gap_of_all_markets_is_false_if_no_market_lost_an_event_in_it(
    lost: set[int], false_gaps: int
) -> None:
    """It counts once per market; what a market received within it is no fault."""
    published = {CHANNEL: PUBLISHED, "trades:B": {seq: 100 + seq for seq in (2, 6, 10)}}
    held = {
        channel: {seq: number for seq, number in numbers.items() if seq not in lost}
        for channel, numbers in published.items()
    }
    witness = Witness(list(published), wildcards=True)
    for channel, numbers in held.items():
        witness.seen[channel] = [event(seq, None) for seq in numbers if seq < 8]
    witness.note_gap("trades:*", gap(5, 8))
    for channel, numbers in held.items():
        witness.seen[channel] += [event(seq, None) for seq in numbers if seq >= 8]
    found = judge_one(Truth([published], [held]), witness)
    assert (found.gaps, found.false_gaps) == (2, false_gaps)


@pytest.mark.parametrize(
    ("seqs", "wrong"),
    [
        ([1, 3, 5, 7, 9], {}),
        ([3, 9], {}),
        ([3, 3, 9], {}),
        ([3, 7], {"lost": 1}),
        ([], {"lost": 1}),
        ([5, 3, 9], {"disordered": 1}),
        ([2, 9], {"altered": 1}),
    ],
)
def test_prices_may_be_left_out_but_not_the_last_one(
    seqs: list[int], wrong: dict[str, int]
) -> None:
    """The one before may come again as a snapshot, after a reconnect."""
    witness = Witness(["price:A"])
    witness.seen["price:A"] = [event(seq, None) for seq in seqs]
    found = judge_one(Truth([{"price:A": PUBLISHED}], [{"price:A": PUBLISHED}]), witness)
    assert {n: count for n, count in vars(found).items() if count and n != "events"} == wrong
