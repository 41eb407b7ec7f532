"""Subjects of a stream: which kinds it takes, and the command that adds the others."""

import shlex

import pytest

from percolator.jetstream.subjects import covers, growth, taken
from percolator.model.channel import SUBJECTS
from percolator.model.kinds import FUNDING, KINDS, PRICE, TRADE

FIRST = ["percolator.price.>", "percolator.trade.>", "percolator.funding.>"]
"""What the first version's stream takes."""


def added(subjects: list[str]) -> list[str]:
    """The subjects that the command gives a stream."""
    found = growth("S", subjects)
    assert found is not None
    words = shlex.split(found.command)
    assert words[:4] == ["nats", "stream", "edit", "S"]
    assert words[4] == "--subjects"
    return words[5].split(",")


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (">", "percolator.price.>"),
        ("percolator.>", "percolator.price.>"),
        ("percolator.price.>", "percolator.price.>"),
        ("percolator.*.>", "percolator.price.>"),
        ("percolator.*.SOL", "percolator.price.SOL"),
        ("percolator.*.*", "percolator.*.SOL"),
    ],
)
def test_a_pattern_covers_what_it_matches(pattern: str, subject: str) -> None:
    """Tokens match one by one, a star any one, > one or more at the end."""
    assert covers(pattern, subject)


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("percolator.price.*", "percolator.price.>"),
        ("percolator.price.SOL", "percolator.price.>"),
        ("percolator.price.SOL", "percolator.price.*"),
        ("percolator.price.>", "percolator.price"),
        ("percolator.price", "percolator.price.>"),
        ("percolator.price", "percolator.price.SOL"),
        ("percolator.price.SOL", "percolator.price"),
        ("percolator.trade.>", "percolator.price.>"),
    ],
)
def test_a_pattern_does_not_cover_more_than_it_matches(pattern: str, subject: str) -> None:
    """A narrower pattern would leave events out."""
    assert not covers(pattern, subject)


def test_a_stream_of_the_first_version_takes_its_three_kinds() -> None:
    """The kinds that came since are missing."""
    assert taken(FIRST) == [PRICE, TRADE, FUNDING]
    assert taken(["percolator.>", "orders.>"]) == list(KINDS)
    assert taken([]) == []


def test_a_stream_that_takes_every_kind_needs_no_command() -> None:
    """Whatever else it takes."""
    assert growth("S", [*SUBJECTS.values(), "percolator.candle.>"]) is None
    assert growth("S", ["percolator.>"]) is None


def test_the_sentence_names_the_missing_kinds() -> None:
    """So that an operator knows what the command is for."""
    last = growth("S", [*SUBJECTS.values()][:-1])
    one, two = growth("S", FIRST), growth("S", FIRST[:2])
    assert last is not None
    assert last.lacks == "the stream S takes no market events"
    assert one is not None
    assert one.lacks == "the stream S takes no liquidation or market events"
    assert two is not None
    assert two.lacks == "the stream S takes no funding, liquidation or market events"


def test_the_command_keeps_what_the_stream_takes_and_adds_the_rest() -> None:
    """`nats stream edit` replaces the list, so all of it is there."""
    assert added([*FIRST, "orders.>"]) == ["orders.>", *SUBJECTS.values()]


def test_the_command_widens_subjects_that_are_narrower_than_ours() -> None:
    """NATS refuses a stream whose own subjects overlap."""
    assert added(["percolator.price.*", "percolator.trade.>"]) == [*SUBJECTS.values()]
