"""The sentence about a price that is far from the last one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.price_jump import describe

PRICES = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)


@pytest.mark.parametrize(
    ("last", "new", "far", "mistake"),
    [
        (150, 150_000_000, "1,000,000 times", "it looks like millionths"),
        (150.5, 160_000_000, "1,063,123 times", "it looks like millionths"),
        (2, 2e8, "100,000,000 times", "it looks like hundred-millionths"),
        (2, 2e9, "1,000,000,000 times", "it looks like billionths"),
        (1, 1e18, "10^18 times", "it looks like units of 10^-18"),
        (
            *(150, 0.00015, "1/1,000,000 of"),
            "it looks as if it was divided by 1,000,000 once too often",
        ),
        (150, 1_500, "10 times", None),
        (150, 300, "2 times", None),
        (150, 60, "1/2.5 of", None),
        (150, 450_000_000, "3,000,000 times", None),
    ],
)
def test_the_sentence_says_how_far_and_which_mistake_it_looks_like(
    last: float, new: float, far: str, mistake: str | None
) -> None:
    """A mistake is named only if a power of ten fits."""
    advice = f": {mistake}; send USD" if mistake else ""
    assert describe(last, new) == f"{new:.15g} is {far} the last price, {last:.15g}{advice}"


@given(PRICES, PRICES)
def test_any_two_prices_have_a_short_sentence(last: float, new: float) -> None:
    """Also if their ratio is no float."""
    assert len(describe(last, new)) < 200
