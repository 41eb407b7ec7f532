"""The judge finds each kind of fault, so a clean verdict means something."""

import pytest

from tests.integration.faults.judge import Truth, Verdict, judge
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
    witness = Witness([CHANNEL])
    witness.seen[CHANNEL] = seen
    return judge(Truth([{CHANNEL: PUBLISHED}], [{CHANNEL: present}]), [witness], since=since)


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
    assert judge(Truth(incarnations, [{CHANNEL: {}}, {CHANNEL: {1: 101, 3: 103}}]), [witness]).clean
    more = {1: 101, 3: 103, 5: 105}
    incarnations[1] = {CHANNEL: more}
    assert judge(Truth(incarnations, [{CHANNEL: {}}, {CHANNEL: more}]), [witness]).lost == 1
