"""Extras: the fields of an event that no kind has, which clients get as the publisher wrote them.

They are strings, numbers, true, false and null. Lists, objects, numbers that no reader holds
(`1e400`), and fields with a name of ours are dropped. They are kept as JSON text, so that a number
keeps every digit.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic_core import to_json

from percolator.model.kinds import Kind

RESERVED = frozenset(
    {"type", "slab", "slabAddress", "timestamp", "channel", "epoch", "seq", "prev", "snapshot"}
)
"""Names that only a gateway gives to the fields of a message."""

_SCALARS = frozenset({str, int, float, bool, type(None)})
_LARGEST = sys.float_info.max
SMALLEST_HUGE = 308
"""Digits of the smallest integer that is larger."""
_NUMBER = re.compile(rb"\s*:\s*([-+0-9.eE]+)")


class _Digits(str):
    """A number with a fraction or an exponent, as it was written."""

    __slots__ = ()


def extras(
    kind: Kind,
    fields: Mapping[str, Any],
    payload: bytes,
    part: Callable[[Any], Any] | None = None,
) -> bytes:
    """Return the extras among some fields as the inside of a JSON object: `"id":"x","slot":5`.

    `payload` is the JSON that the fields are from: the whole document, or that `part` of it.
    """
    own = _own(kind)
    found = {
        name: value for name, value in fields.items() if name not in own and type(value) in _SCALARS
    }
    if len(payload) > SMALLEST_HUGE:
        _drop_huge(found, [name for name, value in found.items() if type(value) is int])
    floats = [name for name, value in found.items() if type(value) is float]
    if not floats:
        return to_json(found)[1:-1]
    _drop_huge(found, floats)
    text = to_json(found)[1:-1]
    # Most publishers write extras last and numbers as we do: then nothing is to be found out.
    if payload.endswith(text, 0, -1) and _is_flat(payload):
        return text
    digits = {name: _digits(payload, name, found[name]) for name in floats if name in found}
    if None in digits.values():
        document = json.loads(payload, parse_float=_Digits)
        written = part(document) if part else document
        digits = {name: written[name].encode() for name in digits}
    return b",".join(
        b"%b:%b" % (to_json(name), digits.get(name) or to_json(value))
        for name, value in found.items()
    )


def _drop_huge(fields: dict[str, Any], names: list[str]) -> None:
    """Drop those of some numbers that are larger than a float, or NaN."""
    for name in names:
        if not -_LARGEST <= fields[name] <= _LARGEST:
            del fields[name]


def _digits(payload: bytes, name: str, value: float) -> bytes | None:
    """Return a number as it is in a payload; None if it is not easily found."""
    key = to_json(name)
    match = _NUMBER.match(payload, payload.find(key) + len(key))
    return match[1] if match and float(match[1]) == value and _is_flat(payload) else None


def _is_flat(payload: bytes) -> bool:
    """Return whether a payload has no object inside, which might have fields of the same names."""
    return payload.count(b"{") == 1


@cache
def _own(kind: Kind) -> frozenset[str]:
    """Return the names that no extra of a kind may have."""
    return RESERVED.union(kind.fields)
