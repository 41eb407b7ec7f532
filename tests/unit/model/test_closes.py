"""The vocabulary of the WebSocket: what is parsed from a client's message, and what is sent."""

import pytest

from percolator.model import closes
from percolator.model.closes import CloseCode

MAX_CLOSE_REASON_BYTES = 123

CLOSES = [name for name in vars(closes) if name.startswith("CLOSE_")]


@pytest.mark.parametrize("name", CLOSES)
def test_a_close_reason_is_a_phrase_that_fits_into_the_frame(name: str) -> None:
    """It has no figures: a limit is the operator's affair."""
    close = getattr(closes, name)
    assert close.code in CloseCode
    assert 0 < len(close.reason.encode()) <= MAX_CLOSE_REASON_BYTES
    assert not any(character.isdigit() for character in close.reason.replace("UTF-8", ""))
