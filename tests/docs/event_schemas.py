"""What an event on NATS may be, for publishers: a JSON Schema per kind, and the page's table.

Both derive from the kinds' fields, and from the rules that a rejection names.
"""

import json
from typing import Any

from pydantic import TypeAdapter

from percolator.model.channel import SLAB, Channel
from percolator.model.kinds import KINDS, Kind
from percolator.model.times import EARLIEST_MS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of a kind's events in native form; other fields are allowed.

    Numbers in strings have the form that clients get; gateways also accept others.
    """
    generated = TypeAdapter(kind.event).json_schema()
    found = {name: _described(kind, name, each) for name, each in generated["properties"].items()}
    fields = {name: found[name] for name in ("type", "slab", *kind.fields, "timestamp")}
    rest = {name: generated[name] for name in ("$defs",) if name in generated}
    return {
        "$schema": DIALECT,
        "title": f"A {kind} event on {Channel(kind, 'SLAB').subject}",
        "type": "object",
        "required": [name for name in fields if name in generated["required"]],
        "properties": fields,
        **rest,
    }


def _described(kind: Kind, name: str, generated: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema without what only pydantic reads, and with its rule in words."""
    kept = {key: value for key, value in generated.items() if key not in ("default", "title")}
    if name == "type":
        return {"description": "The kind, as in the subject.", "const": kept["const"]}
    if name == "slab":
        market = {"type": "string", "pattern": f"^{SLAB.pattern}$"}
        return {"description": "The market, as in the subject.", **market}
    if name == "timestamp":
        kept["minimum"] = EARLIEST_MS
    rule = kind.schema[name].get("description") or " or ".join(kept["enum"])
    return {**kept, "description": _sentence(rule)}


def _sentence(rule: str) -> str:
    return f"{rule[:1].upper()}{rule[1:]}."


def files() -> dict[str, str]:
    """Return each schema's file, by its path."""
    return {
        f"docs/schemas/{kind}.json": json.dumps(schema(kind), indent=2) + "\n" for kind in KINDS
    }


def table() -> list[str]:
    """Describe each field of each kind in a row."""
    rows = ["| subject | field | form |", "|---|---|---|"]
    for kind in KINDS:
        described = schema(kind)
        subject = f"`{Channel(kind, 'SLAB').subject}`"
        for name in (*kind.fields, "timestamp"):
            need = "" if name in described["required"] else " (optional)"
            rows.append(f"| {subject} | `{name}`{need} | {_form(described['properties'][name])} |")
            subject = ""
    return rows


def _form(field: dict[str, Any]) -> str:
    """Describe in words what JSON a field is, and its rule."""
    forms = field.get("anyOf", [field])
    if choices := [choice for each in forms for choice in each.get("enum", ())]:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    words = " or ".join(each["type"] for each in forms if each.get("type") not in (None, "null"))
    rule = field.get("description", "").rstrip(".")
    if not rule:
        return words
    rule = f"{rule[:1].lower()}{rule[1:]}"
    return rule if words in ("number", "integer") else f"{words}: {rule}"
