"""The judge sees what it is there to see: a suite that finds nothing must be able to find it."""

import pytest

from tests.integration.faults.judge import Truth, Verdict, judge
from tests.integration.faults.witness import Event, Gap, Witness

CHANNEL = "trades:A"
PUBLISHED = {seq: 100 + seq for seq in (1, 3, 5, 7, 9)}


def event(seq: int, prev: int | None, number: int | None = None) -> Event:
    """An event that was received."""
    return Event(seq, prev, number or 100 + seq, 0.0)


def gap(after: int, before: int, epoch: str | None = None, *, announced: bool = True) -> Gap:
    """A gap that was received."""
    return Gap(after, before, epoch, announced)


def verdict(seen: list[Event | Gap], *, held: set[int], since: int | None = 0) -> Verdict:
    """Judge one witness of a stream that holds some of what was published."""
    there = {seq: number for seq, number in PUBLISHED.items() if seq in held}
    witness = Witness([CHANNEL])
    witness.seen[CHANNEL] = seen
    return judge(Truth([{CHANNEL: PUBLISHED}], [{CHANNEL: there}]), [witness], since=since)


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
def test_the_contract_was_kept(seen: list[Event | Gap], held: set[int], since: int | None) -> None:
    """All that is there, in order, and gaps where it is not."""
    found = verdict(seen, held=held, since=since)
    assert found.clean, found


@pytest.mark.parametrize(
    ("seen", "held", "wrong"),
    [
        ([*WHOLE[:2], event(7, None), WHOLE[4]], ALL, {"lost": 1}),
        (WHOLE[:4], ALL, {"lost": 1}),
        ([], ALL, {"lost": 5}),
        (WHOLE[1:], ALL, {"lost": 1, "unlinked": 1}),
        ([*WHOLE[:3], WHOLE[2], *WHOLE[3:]], ALL, {"doubled": 1, "unlinked": 1}),
        ([WHOLE[0], event(5, None), event(3, None), event(7, 5), WHOLE[4]], ALL, None),
        ([gap(0, 5), event(5, None), *WHOLE[3:]], ALL, {"false_gaps": 1}),
        ([*WHOLE[:3], gap(5, 7), event(7, None), WHOLE[4]], ALL, {"false_gaps": 1}),
        ([*WHOLE[:2], gap(6, 7), event(7, None), WHOLE[4]], {7, 9}, {"lost": 1}),
        ([*WHOLE[:2], gap(3, 8, announced=False), event(9, None)], {9}, {"lost": 1}),
        ([*WHOLE[:2], event(5, 1), *WHOLE[3:]], ALL, {"unlinked": 1}),
        ([*WHOLE[:2], event(5, 3, number=7), *WHOLE[3:]], ALL, {"altered": 1}),
    ],
)
def test_a_breach_is_seen(
    seen: list[Event | Gap], held: set[int], wrong: dict[str, int] | None
) -> None:
    """Lost, doubled, out of order, a gap over what is there, a chain that does not hold."""
    found = verdict(seen, held=held)
    assert not found.clean
    if wrong is None:
        assert found.disordered
    else:
        counted = {name: count for name, count in vars(found).items() if count}
        assert {name: counted.get(name) for name in wrong} == wrong


def test_a_new_life_begins_anew() -> None:
    """Its seqs come again; what is missing of it is missing."""
    witness = Witness([CHANNEL])
    witness.seen[CHANNEL] = [*WHOLE, gap(9, 1, "b"), event(1, 0), event(3, 1)]
    lives = [{CHANNEL: PUBLISHED}, {CHANNEL: {1: 101, 3: 103}}]
    assert judge(Truth(lives, [{CHANNEL: {}}, {CHANNEL: {1: 101, 3: 103}}]), [witness]).clean
    more = {1: 101, 3: 103, 5: 105}
    lives[1] = {CHANNEL: more}
    assert judge(Truth(lives, [{CHANNEL: {}}, {CHANNEL: more}]), [witness]).lost == 1
