"""A rejected event, as it looks in a terminal and in a pipe."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator_cli.answers import Rejection
from percolator_cli.render.rejected import block, line
from tests.cli.render.drawing import drawn
from tests.cli.render.test_total import SEQ, STAMP, TEXT

FULL: dict[str, Any] = {
    "seq": 1_207,
    "epoch": "e1",
    "subject": "percolator.trade.SOL",
    "reason": "invalid_price",
    "message": "price must be greater than 0, got 0; leave out an event whose price is not known",
    "id": "5sig:SOL:1",
    "payload": '{"side":"long","size":"1000000","price":0,"timestamp":1750000000000,"tx":"5sig"}',
    "time": 1_750_000_000_000,
}
OLD: dict[str, Any] = {"seq": 3, "subject": "percolator.trade.SOL", "reason": "invalid_price"}


def shown(fields: dict[str, Any], width: int = 80) -> list[str]:
    """Draw a rejection, without its time, which depends on the time zone."""
    first, *others = drawn(block(Rejection.model_validate(fields)), width)
    return [first.partition(" ")[2], *others]


def test_a_sentence_is_wrapped_and_a_payload_is_cut() -> None:
    """At 80 columns; nothing of the sentence is lost."""
    assert shown(FULL) == [
        "seq 1207  percolator.trade.SOL",
        "    invalid_price  price must be greater than 0, got 0; leave out an event whose",
        "    price is not known",
        '    {"side":"long","size":"1000000","price":0,"timestamp":1750000000000,"tx":"5…',
        "    id 5sig:SOL:1",
    ]


def test_the_report_of_an_older_gateway_is_shown() -> None:
    """It has neither a time nor a sentence."""
    assert shown(OLD) == ["seq 3  percolator.trade.SOL", "    invalid_price"]
    assert line(Rejection.model_validate(OLD)) == (
        "--:--:--.--- seq 3  percolator.trade.SOL  invalid_price"
    )


def test_an_event_that_was_accepted_says_so() -> None:
    """In both forms."""
    found = Rejection.model_validate(FULL | {"reason": "price_jump", "accepted": True})
    assert "  price_jump (accepted)  price must" in line(found)
    assert drawn(block(found))[1].startswith("    price_jump (accepted)  price must")


@pytest.mark.parametrize("width", [1, 20, 80, 200])
@given(
    fields=st.fixed_dictionaries(
        {"seq": SEQ, "subject": TEXT, "reason": TEXT},
        optional={
            **dict.fromkeys(["message", "id", "payload", "epoch"], TEXT),
            "time": STAMP,
            "accepted": st.booleans(),
        },
    )
)
def test_every_rejection_is_shown(width: int, fields: dict[str, Any]) -> None:
    """On one line in a pipe, and without a control character in either form."""
    found = Rejection.model_validate(fields)
    assert line(found).isprintable()
    assert all(each.isprintable() for each in drawn(block(found), width))
