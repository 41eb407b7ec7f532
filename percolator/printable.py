"""Foreign text made fit to show: one line, which cannot control a terminal or hide in it."""

import unicodedata

MARKS = frozenset({"Mn", "Me"})
"""Marks that take no column of their own: any number of them fits on one letter."""
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters that show nothing, and that Python counts as printable."""

REMEMBERED = 4_096
"""Characters of which is remembered how they are shown."""


def printable(text: str, limit: int | None = None) -> str:
    """Return a text with each character that is not a visible one in Python's notation.

    That covers line ends, terminal escapes (C0 and C1), the controls that turn the direction of
    writing, what has no width, and lone surrogates. A text of more than `limit` characters is cut.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}..."
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_SHOWN)


def _is_visible(character: str) -> bool:
    return (
        character.isprintable()
        and character not in BLANKS
        and unicodedata.category(character) not in MARKS
    )


def _notation(character: str) -> str:
    r"""`\n`, `\x1b` or `\u202e`."""
    return character.encode("unicode_escape").decode()


class _Shown(dict[int, str]):
    """What is shown for each character, found when it is first seen: a flood repeats a few."""

    def __missing__(self, code: int) -> str:
        if len(self) >= REMEMBERED:
            self.clear()
        character = chr(code)
        shown = self[code] = character if _is_visible(character) else _notation(character)
        return shown


_SHOWN = _Shown()
