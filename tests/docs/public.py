"""The public names: what clients, operators, publishers and scripts rely on, one string each."""

import json
import re
from collections.abc import Iterator
from typing import Any

from percolator.config.settings import Settings
from percolator.model import closes
from percolator.model.channel import REJECTED_SUBJECT, SUBJECTS
from percolator_cli.commands import COMMANDS, load, root
from tests.docs import plain_yaml
from tests.docs.pages import ROOT
from tests.gateway import Gateway

METRIC = re.compile(r"^(percolator_\w+)(?:\{([^}]*)\})? ", re.MULTILINE)
LABEL = re.compile(r"(\w+)=")


def settings() -> Iterator[str]:
    """Every setting."""
    yield from Settings.model_fields


def subjects() -> Iterator[str]:
    """Every subject on NATS."""
    yield from (*SUBJECTS.values(), REJECTED_SUBJECT)


def commands() -> Iterator[str]:
    """Every command with each of its arguments and flags."""
    context = root().make_context("percolator", ["serve"], resilient_parsing=True)
    for name in COMMANDS:
        yield from _parameters(load(name), name, context)


def _parameters(command: Any, path: str, parent: Any) -> Iterator[str]:  # noqa: ANN401 - Typer has no public names
    context = type(parent)(command, info_name=path.rpartition(" ")[2], parent=parent)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from _parameters(inner, f"{path} {name}", context)
        return
    for parameter in command.get_params(context):
        names = (*parameter.opts, *parameter.secondary_opts)
        yield from (f"{path} {name}" for name in names)


def wire() -> Iterator[str]:
    """Every message with each of its fields, every error code and close code."""
    messages = plain_yaml.read((ROOT / "docs" / "asyncapi.yaml").read_text())["components"][
        "messages"
    ]
    for name, message in messages.items():
        payload = message["payload"]
        if "$ref" in payload:
            payload = json.loads((ROOT / "docs" / payload["$ref"]).read_text())
        yield from (f"{name}.{field}" for field in payload["properties"])
    yield from (f"error {code}" for code in closes.ERRORS)
    yield from (f"close {code.value}" for code in closes.CloseCode)


async def http(gateway: Gateway) -> list[str]:
    """Every field that the routes show, and every metric with its labels."""
    found: set[str] = set()
    for path in ("/health", "/health/live", "/ws/stats", "/markets/SOL"):
        found |= {f"GET {path} {name}" for name in _fields(await gateway.get_json(path))}
    _, _, metrics = await gateway.get("/metrics")
    for family, labels in METRIC.findall(metrics.decode()):
        names = ",".join(name for name in LABEL.findall(labels) if name != "le")
        found.add(f"metric {family}{{{names}}}")
    return sorted(found)


def _fields(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield f"{path}{name}"
        yield from _fields(inner, f"{path}{name}.")


async def names(gateway: Gateway) -> dict[str, list[str]]:
    """Return all public names by what they name. `gateway` has events of SOL."""
    return {
        "settings": sorted(settings()),
        "subjects": sorted(subjects()),
        "commands": sorted(commands()),
        "wire": sorted(wire()),
        "http": await http(gateway),
    }
