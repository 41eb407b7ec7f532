"""Decimal text: what languages write becomes one form, and the number stays the same."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.model import decimals
from percolator.model.decimals import MAX_SIZE, RATE_DIGITS

DIGITS_28 = "0.1234567890123456789012345678"
WHOLE_28 = "-7922816251426433759354395.033"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e-7", "0.0000001"),  # JavaScript
        ("5e-05", "0.00005"),  # Python
        ("5E-05", "0.00005"),  # C#
        ("1.0E-5", "0.00001"),  # Java
        ("0E-8", "0"),  # Java's BigDecimal, and Python's Decimal
        ("-0E-8", "0"),
        (".0001", "0.0001"),
        ("-.5", "-0.5"),
        ("1.", "1"),
        ("+1", "1"),
        ("1E+3", "1000"),
        ("1e39", f"1{'0' * 39}"),
        ("1e-40", f"0.{'0' * 39}1"),
        (f"{DIGITS_28}e0", DIGITS_28),  # .NET and Rust
        (f"{WHOLE_28}E0", WHOLE_28),
        ("0e999999", "0"),
        # Plain text is not touched.
        ("0.10", "0.10"),
        ("007", "007"),
        ("-0.0", "-0.0"),
        (DIGITS_28, DIGITS_28),
        (WHOLE_28, WHOLE_28),
    ],
)
def test_a_rate_is_read_as_languages_write_it(text: str, plain: str) -> None:
    """It becomes plain decimal text, and is never rounded."""
    assert decimals.rate(text) == plain


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1E+3", "1000"),
        ("1.5e3", "1500"),
        ("+1", "1"),
        ("1000.0", "1000"),
        ("-0", "0"),
        ("0e999999", "0"),
        ("0" * 60, "0"),
        ("007", "007"),
        (str(MAX_SIZE), str(MAX_SIZE)),
        (f"{MAX_SIZE}.00", str(MAX_SIZE)),
    ],
)
def test_a_size_is_read_as_languages_write_it(text: str, digits: str) -> None:
    """If it is a whole number, it becomes its digits."""
    assert decimals.size(text) == digits


NO_NUMBERS = [
    *("", " ", ".", "-", "e5", "1e", "1e+", "1_000", "1,5", " 1", "1 ", "1\n", "0x1", "--1", "+-1"),
    *("NaN", "Infinity", "-inf", "\N{ARABIC-INDIC DIGIT ONE}", "\N{FULLWIDTH DIGIT ONE}"),
    *("1e9999999", "9" * 600, "1" * 600 + "x"),
]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1e40", "-1e40", "1e-41", "1e999999", "1e-999999"])
def test_a_rate_that_is_no_number_or_too_long_has_no_form(text: str) -> None:
    """An exponent costs no memory, however large it is."""
    assert decimals.rate(text) is None


@pytest.mark.parametrize(
    "text", [*NO_NUMBERS, "-1", "1.5", "1e-1", str(MAX_SIZE + 1), "1e39", "1e999999"]
)
def test_a_size_that_is_not_whole_or_over_128_bits_has_no_form(text: str) -> None:
    """Nor has a negative one."""
    assert decimals.size(text) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [("0", "0"), ("-1", "-0.000001"), ("1500000", "1.5"), ("1E+6", "1"), ("+1", "0.000001")],
)
def test_an_integer_of_millionths_becomes_units(text: str, plain: str) -> None:
    """Exactly."""
    assert decimals.millionths(text) == plain


@pytest.mark.parametrize("text", ["1.5", "", "x", "9" * 41, "1e999999"])
def test_what_is_no_integer_of_millionths_has_no_form(text: str) -> None:
    """Nor has one of more than 40 digits."""
    assert decimals.millionths(text) is None


numbers = st.decimals(allow_nan=False, allow_infinity=False)
floats = st.floats(allow_nan=False, allow_infinity=False)
written = st.one_of(
    numbers.map(str),
    numbers.map("{:E}".format),
    floats.map(repr),
    floats.map("{:.17G}".format),
    st.from_regex(decimals.RATE_PATTERN, fullmatch=True),
    st.builds(
        "{}{}{}e{}".format,
        st.sampled_from(["", "+", "-"]),
        st.from_regex(r"[0-9]{1,20}\.?", fullmatch=True),
        st.from_regex(r"[0-9]{0,20}", fullmatch=True).map(lambda digits: digits and f"0{digits}"),
        st.integers(-60, 60),
    ),
)


@given(written)
def test_a_rate_stays_the_same_number(text: str) -> None:
    """Within its bounds, whatever the form; outside of them, it has none."""
    plain = decimals.rate(text)
    number = Decimal(text)
    if plain is not None:
        assert Decimal(plain) == number
        assert decimals.rate(plain) == plain
        assert len(plain) <= 2 * RATE_DIGITS + 2
    else:
        exponent = int(number.normalize(Context(prec=999)).as_tuple().exponent)
        assert abs(number) >= 10**RATE_DIGITS or exponent < -RATE_DIGITS


@given(written | st.integers(0, MAX_SIZE).map("{}.0".format))
def test_a_size_stays_the_same_number(text: str) -> None:
    """If it is whole and has at most 128 bits; otherwise it has no form."""
    digits = decimals.size(text)
    number = Decimal(text)
    if digits is not None:
        assert Decimal(digits) == number
        assert digits.isdigit()
    else:
        assert number < 0 or number > MAX_SIZE or int(number) != number


@given(st.text() | st.text("0123456789.eE+-", max_size=12))
def test_any_text_has_a_form_or_none(text: str) -> None:
    """Nothing is raised."""
    for form in (decimals.rate, decimals.size, decimals.millionths):
        found = form(text)
        assert found is None or Decimal(found).is_finite()
