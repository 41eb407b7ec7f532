"""Bookmarks: stored as text, and read back."""

import pytest

from percolator.client.bookmark import Bookmark, Position

BOOKMARK = Bookmark({"trades:SOL": Position("e", 7), "funding:*": Position(None, 2**53 - 1)})


def test_a_bookmark_survives_as_text() -> None:
    """With an epoch per channel."""
    text = BOOKMARK.to_json()
    assert text == '{"trades:SOL":["e",7],"funding:*":[null,9007199254740991]}'
    assert Bookmark.from_json(text) == BOOKMARK


def test_a_market_that_was_read_through_a_wildcard_has_its_position() -> None:
    """Others have none."""
    assert BOOKMARK.of("trades:SOL") == Position("e", 7)
    assert BOOKMARK.of("funding:SOL") == Position(None, 2**53 - 1)
    assert BOOKMARK.of("trades:BTC") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a":7}', '{"a":["e",-1]}', '{"a":["e","7"]}', '{"a":["e",1.5]}', "{"]
)
def test_a_text_that_is_not_a_bookmark_is_refused(text: str) -> None:
    """By ValueError."""
    with pytest.raises(ValueError, match="not a bookmark"):
        Bookmark.from_json(text)
