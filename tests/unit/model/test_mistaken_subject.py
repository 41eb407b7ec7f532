"""Subjects of no kind: which of them are mistakes, and what their publishers should do."""

import pytest

from percolator.errors import EventError
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS
from percolator.model.mistaken_subject import explain

MISTAKES = {
    "percolator.trades.SOL": ("trades", "percolator.trade.SOL"),
    "percolator.prices.SOL-PERP": ("prices", "percolator.price.SOL-PERP"),
    "percolator.fundings.SOL": ("fundings", "percolator.funding.SOL"),
    "percolator.liquidations.SOL": ("liquidations", "percolator.liquidation.SOL"),
    "percolator.Trade.SOL": ("Trade", "percolator.trade.SOL"),
    "percolator.TRADES.SOL": ("TRADES", "percolator.trade.SOL"),
    "percolator.SOL.trade": ("SOL", "percolator.trade.SOL"),
    "percolator.SOL.Prices": ("SOL", "percolator.price.SOL"),
    "percolator.trades": ("trades", "percolator.trade.MARKET"),
    "percolator.trades.": ("trades", "percolator.trade.MARKET"),
    "percolator.trades.SOL.USD": ("trades", "percolator.trade.MARKET"),
    "percolator.trades.\x1b[2J": ("trades", "percolator.trade.MARKET"),
    "percolator.\x1b[2J.trade": (r"\x1b[2J", "percolator.trade.MARKET"),
}


@pytest.mark.parametrize("subject", MISTAKES)
def test_a_mistaken_subject_is_explained(subject: str) -> None:
    """The sentence has what was written, and the subject to publish on."""
    named, instead = MISTAKES[subject]
    error = explain(subject)
    assert error is not None
    assert error.reason == "unknown_subject"
    assert str(error) == f"no kind is named {named}: publish on {instead}"


@pytest.mark.parametrize(
    "subject",
    [
        "percolator.candle.SOL",
        "percolator.rejected",
        "percolator.trade-v2.SOL",
        "percolator.SOL.x.trade",
        "percolator",
        "percolator.",
        "trades.SOL",
        "",
    ],
)
def test_any_other_subject_may_be_of_a_newer_version(subject: str) -> None:
    """Nothing is said of it."""
    assert explain(subject) is None


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_subject_of_an_explanation_is_a_kinds_own(kind: object) -> None:
    """So that a publisher that follows it publishes valid events."""
    error = explain(f"percolator.{kind}s.SOL")
    assert error is not None
    found = Channel.of_subject(str(error).rpartition(" ")[2])
    assert found is not None
    assert found.kind is kind


def test_a_long_name_is_cut() -> None:
    """A subject may have thousands of characters."""
    error = explain(f"percolator.{'x' * 4_000}.trade")
    assert isinstance(error, EventError)
    assert len(str(error)) < 150
