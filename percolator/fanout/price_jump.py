"""The sentence about a price that is far from the last one: how far, and what may be wrong."""

from math import log10

UNITS = {6: "millionths", 8: "hundred-millionths", 9: "billionths", 18: "units of 10^-18"}
"""What publishers send by mistake, by the power of ten that it is off."""
NEAR = 0.3
"""How far a ratio may be from a power of ten, as a power of ten: the price may have doubled."""


def describe(last: float, new: float) -> str:
    """Return `150000000 is 1,000,000 times the last price, 150: it looks like ...`."""
    power = log10(new) - log10(last)  # of numbers whose ratio may be no float
    ratio = _ratio(abs(power), max(new, last), min(new, last))
    far = f"{ratio} times" if power > 0 else f"1/{ratio} of"
    sentence = f"{new:.15g} is {far} the last price, {last:.15g}"
    whole = round(abs(power))
    if whole not in UNITS or abs(abs(power) - whole) > NEAR:
        return sentence
    if power > 0:
        return f"{sentence}: it looks like {UNITS[whole]}; send USD"
    return f"{sentence}: it looks as if it was divided by {10**whole:,} once too often; send USD"


def _ratio(power: float, larger: float, smaller: float) -> str:
    if power > 15:  # noqa: PLR2004 - more digits than a float has
        return f"10^{round(power)}"
    return f"{larger / smaller:,.0f}" if power > 1 else f"{larger / smaller:.3g}"
