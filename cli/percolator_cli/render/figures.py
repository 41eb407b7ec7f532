"""Numbers as text for people: counts, sizes, times, bars and sparklines."""

from collections.abc import Sequence
from datetime import datetime
from math import floor, log10

SPARKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"

SMALLEST, LARGEST = 1e-10, 1e15
"""Prices outside of these are written with an exponent."""

_SIZES = ("B", "kB", "MB", "GB", "TB")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def count(number: float) -> str:
    """`12,345`."""
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """`1 event` or `12,345 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rate(number: float) -> str:
    """`12,345`, `123.4` or `1.25`: at least three digits."""
    digits = 2 if number < 10 else 1 if number < 1_000 else 0  # noqa: PLR2004 - see the docstring
    return f"{number:,.{digits}f}"


def size(number: float) -> str:
    """`1.4 MB`, in powers of 1,000."""
    power = 0
    while number >= 999.5 and power < len(_SIZES) - 1:  # noqa: PLR2004 - would be shown as "1000"
        number /= 1_000
        power += 1
    return f"{number:.{1 if power and number < 99.95 else 0}f} {_SIZES[power]}"  # noqa: PLR2004


def span(seconds: float) -> str:
    """`2 h 13 min`: the two largest units."""
    left = round(seconds)
    parts = []
    for length, name in _SPANS:
        number, left = divmod(left, length)
        parts.append((number, name))
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    shown = [f"{number} {name}" for number, name in parts[first : first + 2] if number]
    return " ".join(shown) or "0 s"


def millis(seconds: float) -> str:
    """`12.3 ms`, or `1.25 s` from one second up."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    thousandths = seconds * 1_000
    return f"{thousandths:.2f} ms" if thousandths < 10 else f"{thousandths:.1f} ms"  # noqa: PLR2004


def number(value: float) -> str:
    """`61,807.95`: a price without trailing zeros; `5e-324` if that would be very long."""
    if value and not SMALLEST <= abs(value) < LARGEST:
        return f"{value:.6g}"
    decimals = max(10, 5 - floor(log10(abs(value)))) if value else 10  # six digits
    whole, point, rest = f"{value:,.{decimals}f}".rstrip("0").partition(".")
    return f"{whole}{point}{rest}" if rest else whole


def clock(timestamp: int) -> str:
    """`12:34:56.789`, the local time of Unix milliseconds; `9007199254740991 ms` if it has none."""
    try:
        at = datetime.fromtimestamp(timestamp // 1_000).astimezone()
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return f"{timestamp} ms"
    return f"{at:%H:%M:%S}.{timestamp % 1_000:03}"


def share(part: float, whole: float) -> str:
    """`34 %`, or an empty string if `whole` is 0."""
    return f"{part / whole:.0%}".replace("%", " %") if whole else ""


def bar(part: float, whole: float, width: int) -> str:
    """Return a bar of `width` columns, filled by the share; any share above 0 is visible."""
    if not whole or width <= 0:
        return " " * max(width, 0)
    eighths = round(min(part / whole, 1) * width * 8)
    eighths = max(eighths, 1) if part > 0 else eighths
    full, rest = divmod(eighths, 8)
    return f"{FULL * full}{EIGHTHS[rest] if rest else ''}".ljust(width)


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the last `width` values as a line, scaled from 0 to the largest of them."""
    shown = values[-width:] if width > 0 else []
    top = max(shown, default=0)
    if not top:
        return SPARKS[0] * len(shown)
    return "".join(SPARKS[round(value / top * (len(SPARKS) - 1))] for value in shown)
