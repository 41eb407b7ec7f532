"""What the clients' sources say of the messages that they get: the fields of each, by type."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic.fields import FieldInfo

from percolator.gateway import static
from percolator.model import server_messages

INTERFACE = re.compile(
    r"^(?:export )?interface (\w+)(?: extends ([\w, ]+))? \{\n(.*?)^\}", re.DOTALL | re.MULTILINE
)
MEMBER = re.compile(r"^  (?:readonly )?(\w+)(\??): (.+);$", re.MULTILINE)
RULES = re.compile(r"RULES = .*?\{\n(.*?)\n\s*\}\)", re.DOTALL)
RULE = re.compile(r"^ +(\w+): \{(.*?)\},?$", re.MULTILINE)
CHECK = re.compile(r"(\w+): (optional)?")
CONSTANT = r"\b{} = \{{(.*?)\}};"


class Fields(NamedTuple):
    """The fields that a client knows of a message, and those of them that it needs."""

    known: frozenset[str]
    needed: frozenset[str]


def python() -> dict[str, Fields]:
    """Return what the Python client reads; of an event, what it has beside its kind's fields."""
    types = {**server_messages._TYPES, "event": server_messages.Stamp}
    types |= {"limits": server_messages.Limits, "feedState": server_messages.FeedState}
    return {name: _dataclass(of) for name, of in types.items()}


def _dataclass(of: type) -> Fields:
    fields: dict[str, FieldInfo] = of.__pydantic_fields__  # type: ignore[attr-defined]
    named = {field.alias or name: field for name, field in fields.items()}
    needed = (name for name, field in named.items() if field.is_required())
    return Fields(frozenset(named), frozenset(needed))


def browser() -> dict[str, Fields]:
    """Return what the browser client checks."""
    source = static.served()["/percolator/messages.js"].body.decode()
    (block,) = RULES.findall(source)
    rules = dict(RULE.findall(block)) | {"event": _constant("EVENT", source)}
    found = {}
    for name, body in rules.items():
        checks = CHECK.findall(body)
        needed = (field for field, is_optional in checks if not is_optional)
        found[name] = Fields(frozenset(field for field, _ in checks), frozenset(needed))
    return found


def browser_limits() -> frozenset[str]:
    """Return the limits of a greeting that the browser client knows; none if it reads none."""
    source = static.served()["/percolator/messages.js"].body.decode()
    return frozenset(re.findall(r"(\w+): ", _constant("LIMITS", source)))


def _constant(name: str, source: str) -> str:
    found = re.search(CONSTANT.format(name), source, re.DOTALL)
    return found[1] if found else ""


def typescript() -> dict[str, Fields]:
    """Return the interfaces of percolator.d.ts that have a `type`, by that."""
    source = static.served()["/percolator.d.ts"].body.decode()
    bodies = {name: (bases, body) for name, bases, body in INTERFACE.findall(source)}

    def members(name: str) -> Iterator[tuple[str, str, str]]:
        bases, body = bodies[name]
        for base in filter(None, bases.split(", ")):
            if base in bodies:
                yield from members(base)
        yield from MEMBER.findall(body)

    found = {}
    for name in bodies:
        every = list(members(name))
        kinds = [of.strip('"') for field, _, of in every if field == "type"]
        if kinds:
            known = frozenset(field for field, _, _ in every)
            needed = frozenset(field for field, mark, _ in every if not mark)
            found[kinds[0]] = Fields(known, needed)
    return found
