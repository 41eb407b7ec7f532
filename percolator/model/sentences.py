"""Sentences for publishers: each names the field, the rule, and what was found instead.

What was found is cut and made fit to show, so a sentence is one line of bounded length. The rules
are the descriptions in the table of kinds.
"""

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic_core import to_json

from percolator.model.kinds import TIME_RULE, Kind
from percolator.model.times import MAX_AHEAD_MS, MAX_PLAN_MS, looks_like
from percolator.printable import printable

SHOWN = 48
"""Characters of a value, or of a field's name, that a sentence shows."""
COMPARED = 50
"""Fields of an event that are compared with the name of a missing one."""
MILLIONTHS = "E6"
"""How a key of an envelope ends if its number is in millionths."""

_TYPES = {"string": "string", "number": "number", "integer": "number"}
_PLAIN = str.maketrans("", "", "_-")


def shown(value: object) -> str:
    """Return a value as JSON that fits into a sentence; a list and an object by their names."""
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return f'"{printable(value, SHOWN)}"'
    if isinstance(value, int) and abs(value) >= 10**SHOWN:
        return f"a number of more than {SHOWN} digits"
    return to_json(value, inf_nan_mode="constants").decode()


def with_type(value: object) -> str:
    """Return `the string "150.0"` or `the number 0.0001`; anything else as `shown` does."""
    if isinstance(value, str):
        return f"the string {shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return shown(value) if abs(value) >= 10**SHOWN else f"the number {shown(value)}"
    return shown(value)


class Written(NamedTuple):
    """How a publisher wrote a field: the key `priceE6` and its value stand for a `price`."""

    key: str
    value: object


def fault(
    kind: Kind, name: str, fields: Mapping[str, Any], stored_ms: int, written: Written | None = None
) -> str:
    """Return what is wrong with a field of an event, given all its fields.

    `written` is how the publisher wrote it, if that is not the native form.
    """
    if name not in fields:
        return _missing(kind, name, (each for each in fields if each not in kind.schema))
    rule = kind.schema[name]
    value = fields[name]
    key, original = written or (name, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0 and "exclusiveMinimum" in rule:
            what = "field" if "default" in rule else "event"
            return f"{key} is 0: send the real value, or leave the {what} out if it is not known"
        ahead_ms = MAX_PLAN_MS if name in kind.times else MAX_AHEAD_MS
        unit = looks_like(value, stored_ms, ahead_ms)
        if unit is not None and rule.get("description") == TIME_RULE:
            return f"{key} must be in Unix milliseconds: {shown(value)} looks like {unit}"
    right = written or isinstance(value, str) == (rule["type"] == "string")
    found = shown(original) if right else with_type(original)
    converted = None if right else _converted(kind, name, value)
    if converted is not None:
        return f"{key} must be a {_TYPES[rule['type']]}: {converted}, got {found}"
    suffix = " in millionths" if written else ""
    return f"{key} must be {_described(rule)}{suffix}, got {found}"


def _missing(kind: Kind, name: str, others: Iterable[str]) -> str:
    """Describe a missing field, and the unknown one that may stand for it."""
    names = [each for each, _ in zip(others, range(COMPARED), strict=False)]
    if name in kind.in_millionths and name + MILLIONTHS in names:
        return f"{name} is missing: {name}{MILLIONTHS} belongs in the E6 envelope"
    text = f"{name} is missing: it must be {_described(kind.schema[name])}"
    plain = {each[:SHOWN].lower().translate(_PLAIN): each for each in names}
    like = [each for each in plain if name.lower() in each]
    like += get_close_matches(name.lower(), plain, 1, 0.7)
    return f"{text}; the event has {shown(plain[like[0]])} instead" if like else text


def _described(rule: Mapping[str, Any]) -> str:
    if "enum" in rule:
        return " or ".join(shown(each) for each in rule["enum"])
    found: str = rule.get("description") or f"a valid {rule['type']}"
    return found


def _converted(kind: Kind, name: str, value: object) -> str | None:
    """Return a value of another type in the one that it should have, as JSON; None if it cannot."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        canonical = kind.canonical.get(name)
        text = canonical(str(value)) if canonical and abs(value) < 10**SHOWN else None
        return None if text is None else shown(text)
    if not isinstance(value, str):
        return None
    rule = kind.schema[name]
    try:
        number = int(value) if rule["type"] == "integer" else float(value)
    except ValueError:
        return None
    fits = math.isfinite(number) and (number > 0 or "exclusiveMinimum" not in rule)
    return shown(number) if fits else None
