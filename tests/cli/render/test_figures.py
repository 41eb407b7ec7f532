"""Figures as people read them."""

import pytest

from percolator_cli.render import figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (7_980, "2 h 13 min"),
        (7_981, "2 h 13 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    """Smaller ones are left out."""
    assert figures.span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (123_456, "123 kB"), (1_449_999, "1.4 MB")],
)
def test_a_size_has_two_or_three_digits(number: float, text: str) -> None:
    """In powers of a thousand."""
    assert figures.size(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0.00"), (9.876, "9.88"), (65.25, "65.2"), (12_345.6, "12,346")]
)
def test_a_rate_has_three_digits_or_more(number: float, text: str) -> None:
    """The larger, the fewer after the point."""
    assert figures.rate(number) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.5"), (61_807.95, "61,807.95"), (2, "2"), (0.0000001, "0.0000001")]
)
def test_a_price_has_no_digits_but_its_own(value: float, text: str) -> None:
    """No zeros at its end, no exponent."""
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00012, "0.12 ms"), (0.0123, "12.3 ms"), (1.254, "1.25 s")]
)
def test_a_latency_is_in_milliseconds_up_to_a_second(seconds: float, text: str) -> None:
    """And in seconds from there on."""
    assert figures.millis(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "        "), (50, "████    "), (100, "████████"), (200, "████████"), (0.001, "▏       ")],
)
def test_a_bar_is_filled_by_its_share(part: float, text: str) -> None:
    """A little shows, and more than all is all."""
    assert figures.bar(part, 100, 8) == text


def test_a_bar_of_nothing_is_blank() -> None:
    """A limit that is switched off has no share."""
    assert figures.bar(5, 0, 4) == "    "


def test_a_sparkline_goes_up_to_its_largest_value() -> None:
    """And shows the newest values where there is no room for all."""
    assert figures.sparkline([9, 9, 0, 3.5, 7], 3) == "▁▅█"
    assert figures.sparkline([0, 0], 3) == "▁▁"
    assert figures.sparkline([], 3) == ""
