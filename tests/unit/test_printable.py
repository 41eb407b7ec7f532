"""Foreign text: nothing in it can control a terminal, start a line or hide."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.printable import _SHOWN, REMEMBERED, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SOL-1_a", "SOL-1_a"),
        ("Größe 大きい ❤", "Größe 大きい ❤"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31m\x07\x7f", r"\x1b[31m\x07\x7f"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("\ud800", r"\ud800"),
        ("e\u0301\u20dd\ufe0f", r"e\u0301\u20dd\ufe0f"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028", r"\u2028"),
        ("\u00a0", r"\xa0"),
    ],
)
def test_what_is_not_visible_is_written_in_pythons_notation(text: str, shown: str) -> None:
    """Letters of every script stay as they are."""
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_no_text_keeps_a_character_that_controls_or_hides(text: str) -> None:
    """What is left has a width, and can be written in any Unicode encoding."""
    shown = printable(text)
    shown.encode()
    assert shown.isprintable()
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Mn", "Me"}


@given(st.text())
def test_a_text_that_was_made_printable_stays_as_it_is(text: str) -> None:
    """So it does no harm to do it twice."""
    assert printable(printable(text)) == printable(text)


def test_what_is_remembered_of_characters_is_bounded() -> None:
    """Foreign text may have all of them, and each is shown right."""
    for code in range(0, sys.maxunicode + 1, 7):
        character = chr(code)
        assert printable(character) in (character, character.encode("unicode_escape").decode())
    assert 0 < len(_SHOWN) <= REMEMBERED


def test_a_long_text_is_cut() -> None:
    """The cut is visible."""
    assert printable("abcdef", 3) == "abc..."
    assert printable("abc", 3) == "abc"
