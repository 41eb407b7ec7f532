"""Reads the YAML that docs/asyncapi.yaml keeps to: maps and lists by indentation, JSON on a line.

Anything else is an error, so that no reader of YAML sees something else in it than this one.
"""

import json
import re
from typing import Any

KEY = re.compile(r"([A-Za-z][A-Za-z0-9]*):(?: (.+))?")
WORD = re.compile(r"[a-z/][a-z0-9/.]*")
WORDS_WITH_ANOTHER_MEANING = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

Line = tuple[int, str]


def read(text: str) -> Any:  # noqa: ANN401 - as json.loads
    """Give what the text holds. Raises ValueError."""
    found = [
        (len(line) - len(line.lstrip()), line.strip())
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    value, rest = _block(found)
    if rest:
        raise ValueError(rest[0])
    return value


def _block(found: list[Line]) -> tuple[Any, list[Line]]:
    depth = found[0][0]
    items: list[Any] = []
    fields: dict[str, Any] = {}
    while found and found[0][0] == depth:
        line, found = found[0][1], found[1:]
        if line.startswith("- "):
            items.append(json.loads(line[2:]))
            continue
        match = KEY.fullmatch(line)
        if match is None or match[1] in fields or match[1] in WORDS_WITH_ANOTHER_MEANING:
            raise ValueError(line)
        if match[2] is not None:
            fields[match[1]] = _scalar(match[2])
        elif found and found[0][0] > depth:
            fields[match[1]], found = _block(found)
        else:
            raise ValueError(line)
    if (items and fields) or (found and found[0][0] > depth):
        raise ValueError(found[0] if found else fields)
    return items or fields, found


def _scalar(text: str) -> Any:  # noqa: ANN401 - as json.loads
    if WORD.fullmatch(text) and text not in WORDS_WITH_ANOTHER_MEANING:
        return text
    return text if re.fullmatch(r"\d+\.\d+\.\d+", text) else json.loads(text)
