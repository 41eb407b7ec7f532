"""The kinds of the browser client: kinds.js and percolator.d.ts match the gateway's table."""

import json
import re
from typing import Any

import pytest

from percolator.gateway import static
from percolator.model.kinds import KINDS, Kind

INTERFACE = re.compile(
    r"^export interface (\w+) extends ([\w, ]+) \{\n(.*?)^\}", re.DOTALL | re.MULTILINE
)
FIELD = re.compile(r"^  (\w+\??: .+);$", re.MULTILINE)


def text(path: str) -> str:
    """Return the text of a file of the client."""
    return static.served()[path].body.decode()


def table() -> list[dict[str, Any]]:
    """Return the rows of the table in kinds.js."""
    (rows,) = re.findall(
        r"export const KINDS = (\[.*?\]);", text("/percolator/kinds.js"), re.DOTALL
    )
    quoted = re.sub(r"(\w+): ", r'"\1": ', re.sub(r" *//.*", "", rows))
    found: list[dict[str, Any]] = json.loads(re.sub(r",(\s*\])", r"\1", quoted))
    return found


def interfaces() -> dict[str, tuple[str, list[str], dict[str, str]]]:
    """Return name, bases and fields of each kind's interface in percolator.d.ts, by kind."""
    found = {}
    for name, bases, body in INTERFACE.findall(text("/percolator.d.ts")):
        fields = dict(field.split(": ", 1) for field in FIELD.findall(body))
        if "type" in fields:
            found[fields.pop("type").strip('"')] = (name, bases.split(", "), fields)
    return found


def union(name: str) -> list[str]:
    """Return the members of a union type in percolator.d.ts."""
    (members,) = re.findall(
        rf"^export type {name} =(.*?);$", text("/percolator.d.ts"), re.DOTALL | re.MULTILINE
    )
    return [member.strip() for member in members.split("|") if member.strip()]


def test_kinds_js_has_a_row_for_every_kind() -> None:
    """A kind without a row would never reach a page."""
    expected = [
        {
            "type": kind.name,
            "prefix": kind.prefix,
            "lossless": kind.lossless,
            "snapshot": kind.snapshot,
        }
        for kind in KINDS
    ]
    assert table() == expected


def test_every_kind_has_a_type() -> None:
    """The unions of events and of channel names have a member for each kind."""
    assert list(interfaces()) == [kind.name for kind in KINDS]
    assert union("Event") == [name for name, _, _ in interfaces().values()]
    assert union("ChannelName") == [f"`{kind.prefix}:${{string}}`" for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_type_of_a_kind_has_its_fields(kind: Kind) -> None:
    """Every field is listed, and events of a lossless kind have a prev."""
    _, bases, fields = interfaces()[kind.name]
    assert bases == (["Stamped", "Chained"] if kind.lossless else ["Stamped"])
    assert [name.removesuffix("?") for name in fields] == list(kind.fields)
