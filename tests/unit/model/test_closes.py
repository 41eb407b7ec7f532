"""Closes: each reason is a sentence that fits."""

import pytest

from percolator.model import closes
from percolator.model.closes import CloseCode

MAX_CLOSE_REASON_BYTES = 123

CLOSES = [name for name in vars(closes) if name.startswith("CLOSE_")]


@pytest.mark.parametrize("name", CLOSES)
def test_a_close_reason_is_words_that_fit_into_the_frame(name: str) -> None:
    """No figures in it: a limit is the operator's affair."""
    close = getattr(closes, name)
    assert close.code in CloseCode
    assert 0 < len(close.reason.encode()) <= MAX_CLOSE_REASON_BYTES
    assert not any(character.isdigit() for character in close.reason.replace("UTF-8", ""))
