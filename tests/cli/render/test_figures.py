"""Numbers as text for people."""

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
def test_span_shows_the_two_largest_units(seconds: float, text: str) -> None:
    """Smaller units are left out."""
    assert figures.span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (123_456, "123 kB"), (1_449_999, "1.4 MB")],
)
def test_size_shows_two_or_three_digits(number: float, text: str) -> None:
    """The units are powers of a thousand."""
    assert figures.size(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0.00"), (9.876, "9.88"), (65.25, "65.2"), (12_345.6, "12,346")]
)
def test_rate_shows_at_least_three_digits(number: float, text: str) -> None:
    """Larger rates have fewer decimals."""
    assert figures.rate(number) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.5"), (61_807.95, "61,807.95"), (2, "2"), (0.0000001, "0.0000001")]
)
def test_number_shows_a_price_without_trailing_zeros(value: float, text: str) -> None:
    """It never has an exponent."""
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00012, "0.12 ms"), (0.0123, "12.3 ms"), (1.254, "1.25 s")]
)
def test_millis_shows_milliseconds_up_to_a_second(seconds: float, text: str) -> None:
    """Longer times are in seconds."""
    assert figures.millis(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "        "), (50, "████    "), (100, "████████"), (200, "████████"), (0.001, "▏       ")],
)
def test_bar_is_filled_by_the_share(part: float, text: str) -> None:
    """Any share above 0 is visible, and more than the whole fills the bar."""
    assert figures.bar(part, 100, 8) == text


def test_bar_is_blank_without_a_whole() -> None:
    """This is the case for a disabled limit."""
    assert figures.bar(5, 0, 4) == "    "


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 events"), (1, "1 event"), (1_234, "1,234 events")]
)
def test_counted_adds_a_plural_s_unless_there_is_one(number: int, text: str) -> None:
    """Zero is plural in English."""
    assert figures.counted(number, "event") == text


def test_sparkline_is_scaled_to_its_largest_value() -> None:
    """If there is no room for all values, it shows the newest ones."""
    assert figures.sparkline([9, 9, 0, 3.5, 7], 3) == "▁▅█"
    assert figures.sparkline([0, 0], 3) == "▁▁"
    assert figures.sparkline([], 3) == ""
