"""Decimal text: numbers as languages write them, in the one form that clients read.

Python writes `1e-07` for a rate and C# `1E-07`, and Java may write `1E+3` for a size. What is read
here is never rounded: the text that comes out is the same number, or there is none.
"""

import re
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import NamedTuple

MAX_SIZE = 2**128 - 1
RATE_DIGITS = 40
"""Digits of a rate, before the point and after it: enough for the 28 of .NET and of Rust, for 18
decimals of a chain, and for a float of 64 bits down to 1e-23.
"""
MAX_TEXT = 512
"""Characters of a number that are looked at."""

RATE_PATTERN = rf"-?[0-9]{{1,{RATE_DIGITS}}}(\.[0-9]{{1,{RATE_DIGITS}}})?"
"""The form of a rate that clients read."""
SIZE_PATTERN = rf"[0-9]{{1,{len(str(MAX_SIZE))}}}"
"""The form of a size that clients read; it is at most MAX_SIZE."""

_RATE = re.compile(RATE_PATTERN)
_SIZE = re.compile(SIZE_PATTERN)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_EXACT = Context(prec=MAX_TEXT, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Canonical(NamedTuple):
    """Marks a type of text that is a number: returns its canonical form, None if it has none."""

    form: Callable[[str], str | None]


def rate(text: str) -> str | None:
    """Return a rate as plain decimal text, `-0.0000001`; None if it is not a number, or too long.

    Text that is plain already is returned unchanged.
    """
    if _RATE.fullmatch(text):
        return text
    number = _shortest(text)
    if number is None or number.adjusted() >= RATE_DIGITS or _exponent(number) < -RATE_DIGITS:
        return None
    return format(number, "f")


def size(text: str) -> str | None:
    """Return a size as its digits, `1000`; None if it is not a whole number, or over 128 bits.

    Digits are returned unchanged.
    """
    if _SIZE.fullmatch(text):
        return text if int(text) <= MAX_SIZE else None
    number = _shortest(text)
    if number is None or not 0 <= number <= MAX_SIZE or _exponent(number) < 0:
        return None
    return format(number, "f")


def millionths(text: str) -> str | None:
    """Return an integer of millionths as plain decimal text in units; None if it is none."""
    number = _shortest(text)
    if number is None or _exponent(number) < 0 or number.adjusted() >= RATE_DIGITS:
        return None
    return format(number.scaleb(-6, _EXACT), "f") if number else "0"


def _shortest(text: str) -> Decimal | None:
    """Return a number without trailing zeros, zero without a sign; None if it is none."""
    if len(text) > MAX_TEXT or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text).normalize(_EXACT)
    return number or abs(number)


def _exponent(number: Decimal) -> int:
    return int(number.as_tuple().exponent)
