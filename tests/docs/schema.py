"""Checks JSON values against a schema: the part of JSON Schema that our files use.

These are docs/asyncapi.yaml and docs/schemas. An unknown keyword is an error, so that nothing in
them goes unchecked.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

TYPES: dict[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def fits(value: Any, schema: Any, document: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a value matches a schema of the document."""
    return all(
        _holds(keyword, wanted, value, schema, document) for keyword, wanted in schema.items()
    )


def resolve(reference: str, document: Any) -> Any:  # noqa: ANN401 - any JSON
    """Follow a `$ref` within the document."""
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def _holds(
    keyword: str,
    wanted: Any,  # noqa: ANN401 - any JSON
    value: Any,  # noqa: ANN401
    schema: Mapping[str, Any],
    document: Any,  # noqa: ANN401
) -> bool:
    if keyword in OF_TEXT:
        return not isinstance(value, str) or OF_TEXT[keyword](value, wanted)
    if keyword in OF_NUMBERS:
        return not TYPES["number"](value) or OF_NUMBERS[keyword](value, wanted)
    if keyword in ("required", "properties", "additionalProperties"):
        return not isinstance(value, dict) or _object(keyword, wanted, value, schema, document)
    if keyword in ("items", "minItems"):
        return not isinstance(value, list) or _list(keyword, wanted, value, document)
    return OF_ANY[keyword](value, wanted, document)


OF_ANY: dict[str, Callable[[Any, Any, Any], bool]] = {
    "description": lambda _value, _text, _document: True,
    "title": lambda _value, _text, _document: True,
    "examples": lambda _value, _list, _document: True,
    "$schema": lambda _value, _text, _document: True,
    "$ref": lambda value, name, document: fits(value, resolve(name, document), document),
    "type": lambda value, names, _: any(
        TYPES[name](value) for name in ([names] if isinstance(names, str) else names)
    ),
    "const": lambda value, wanted, _: value == wanted and type(value) is type(wanted),
    "enum": lambda value, wanted, _: value in wanted,
    "oneOf": lambda value, wanted, document: (
        sum(fits(value, each, document) for each in wanted) == 1
    ),
    "anyOf": lambda value, wanted, document: any(fits(value, each, document) for each in wanted),
}
OF_TEXT: dict[str, Callable[[str, Any], bool]] = {
    # In JSON Schema, `$` is the end alone; in Python it is also before a last line end.
    "pattern": lambda value, wanted: re.search(wanted.replace("$", r"\Z"), value) is not None,
    "minLength": lambda value, wanted: len(value) >= wanted,
    "maxLength": lambda value, wanted: len(value) <= wanted,
}
OF_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, wanted: value >= wanted,
    "maximum": lambda value, wanted: value <= wanted,
    "exclusiveMinimum": lambda value, wanted: value > wanted,
}


def _list(keyword: str, wanted: Any, value: list[Any], document: Any) -> bool:  # noqa: ANN401
    if keyword == "minItems":
        return bool(len(value) >= wanted)
    return all(fits(each, wanted, document) for each in value)


def _object(
    keyword: str,
    wanted: Any,  # noqa: ANN401 - any JSON
    value: Mapping[str, Any],
    schema: Mapping[str, Any],
    document: Any,  # noqa: ANN401
) -> bool:
    if keyword == "required":
        return all(name in value for name in wanted)
    named = schema.get("properties", {})
    if keyword == "properties":
        return all(fits(value[name], named[name], document) for name in named if name in value)
    others = [value[name] for name in value if name not in named]
    return not others if wanted is False else all(fits(each, wanted, document) for each in others)
