"""What other files say of the kinds, written from the table: `python -m tests.docs.derived`.

`nats/stream.json` and `docs/schemas` are written whole, and so are `docs/api-python.md` and
`docs/api-browser.md`, from the clients' code. In other files, a block is between a comment
`kinds NAME` and a comment `end of kinds`; the rest is written by hand.
"""

import dataclasses
import json
import re
from collections.abc import Callable

from percolator.jetstream.creation import names
from percolator.jetstream.stream import definition
from percolator.model import mistaken_subject
from percolator.model.channel import SUBJECTS, Channel
from percolator.model.events import REASONS
from percolator.model.kinds import KINDS, Kind
from tests.docs import api_browser, api_python, event_schemas
from tests.docs.pages import ROOT
from tests.integration.operations import table as permissions

BLOCK = re.compile(
    r"(?P<head>^(?P<indent> *)\W+ kinds (?P<name>\w+).*\n)(?:.*\n)*?(?P<foot> *\W+ end of kinds)",
    re.MULTILINE,
)
USD = '{"$ref": "#/components/schemas/usd"}'
SCHEMAS = {
    "side": '{"enum": ["long", "short"]}',
    "size": '{"$ref": "#/components/schemas/size"}',
    "rate": '{"$ref": "#/components/schemas/rate"}',
    "status": '{"enum": ["active", "paused", "retired"]}',
    "displayName": '{"$ref": "#/components/schemas/name"}',
    "baseDecimals": '{"type": "integer", "minimum": 0, "maximum": 38}',
    "tickSize": '{"$ref": "#/components/schemas/step"}',
    "openInterest": '{"$ref": "#/components/schemas/size"}',
    "intervalHours": '{"type": "number", "exclusiveMinimum": 0}',
    "nextFundingTime": '{"$ref": "#/components/schemas/timestamp"}',
    **dict.fromkeys(("price", "markPrice", "indexPrice"), USD),
}
"""How `docs/asyncapi.yaml` describes each field that some kind has."""
PREV = '{"type": ["integer", "null"], "minimum": 0}'


def subjects(form: str) -> list[str]:
    """Write a line per subject."""
    return [form.format(subject) for subject in SUBJECTS.values()]


def consumers() -> list[str]:
    """Name what a gateway may do with its consumers, and only with its own."""
    return [
        f'"gateway.API.CONSUMER.*.PERCOLATOR.{name}", "$JS.FC.PERCOLATOR.{name}.*"'
        for name in names("gateway")
    ]


def references(form: str) -> list[str]:
    """Write a line per kind's message."""
    return [form.format(kind) for kind in KINDS]


def messages() -> list[str]:
    """Describe each kind's message."""
    return [line for kind in KINDS for line in _message(kind)]


def _message(kind: Kind) -> list[str]:
    optional = _optional(kind)
    prev = ["prev"] if kind.lossless else []
    required = ["type", "slab", *kind.fields, "timestamp", "seq", *prev]
    summary = f"Each {kind}, once and in order." if kind.lossless else f"The latest {kind}."
    return [
        f"{kind}:",
        f'  summary: "{summary}"',
        "  payload:",
        "    type: object",
        f"    required: {json.dumps([name for name in required if name not in optional])}",
        '    additionalProperties: {"$ref": "#/components/schemas/extra"}',
        "    properties:",
        f'      type: {{"const": "{kind}"}}',
        '      slab: {"$ref": "#/components/schemas/slab"}',
        *(f"      {name}: {SCHEMAS[name]}" for name in kind.fields),
        '      timestamp: {"$ref": "#/components/schemas/timestamp"}',
        '      seq: {"$ref": "#/components/schemas/seq"}',
        *(f"      {name}: {PREV}" for name in prev),
        '      snapshot: {"const": true}',
    ]


def _optional(kind: Kind) -> set[str]:
    """Return the fields that an event of the kind may lack."""
    fields = dataclasses.fields(kind.event)
    return {each.name for each in fields if each.name in kind.fields and each.default is None}


def table() -> list[str]:
    """Describe each kind in a row."""
    rows = ["| kind | channel | subject | fields | delivery |", "|---|---|---|---|---|"]
    for kind in KINDS:
        channel = Channel(kind, "SLAB")
        optional = _optional(kind)
        fields = ", ".join(
            f"`{name}`" + (" (optional)" if name in optional else "") for name in kind.fields
        )
        delivery = "lossless" if kind.lossless else "the latest wins"
        delivery += ", snapshot" if kind.snapshot else ""
        names = f"| `{kind}` | `{channel.name}` | `{channel.subject}` "
        rows.append(f"{names}| {fields} | {delivery} |")
    return rows


def browser() -> list[str]:
    """Describe each kind to the browser client."""
    return [
        f'{{ type: "{kind}", prefix: "{kind.prefix}", '
        f"lossless: {json.dumps(kind.lossless)}, snapshot: {json.dumps(kind.snapshot)} }},"
        for kind in KINDS
    ]


def _as_key(prefix: str, kind: Kind) -> str:
    return f"{prefix}{kind.name.capitalize()}"


def nats_channels() -> list[str]:
    """Describe the subjects on which publishers write events."""
    return [line for kind in KINDS for line in _nats_channel(kind)]


def _nats_channel(kind: Kind) -> list[str]:
    key = _as_key("nats", kind)
    return [
        f"{key}:",
        f'  address: "{Channel(kind, "{slab}").subject}"',
        "  servers:",
        '    - {"$ref": "#/servers/nats"}',
        "  parameters:",
        '    slab: {"description": "The market."}',
        "  messages:",
        f'    {key}: {{"$ref": "#/components/messages/{key}"}}',
    ]


def nats_operations() -> list[str]:
    """Describe what a gateway receives from publishers."""
    return [line for kind in KINDS for line in _nats_operation(kind)]


def _nats_operation(kind: Kind) -> list[str]:
    key = _as_key("nats", kind)
    return [
        f"{_as_key('from', kind)}Publishers:",
        "  action: receive",
        f'  channel: {{"$ref": "#/channels/{key}"}}',
        "  messages:",
        f'    - {{"$ref": "#/channels/{key}/messages/{key}"}}',
    ]


def nats_messages() -> list[str]:
    """Describe each kind's event on NATS."""
    return [line for kind in KINDS for line in _nats_message(kind)]


def _nats_message(kind: Kind) -> list[str]:
    envelope = ", or in the envelope of docs/publishers.md" if kind.envelope else ""
    return [
        f"{_as_key('nats', kind)}:",
        f'  summary: "A {kind}, in this form{envelope}."',
        '  headers: {"$ref": "#/components/schemas/natsHeaders"}',
        f'  payload: {{"$ref": "schemas/{kind}.json"}}',
    ]


BLOCKS: dict[str, Callable[[], list[str]]] = {
    "exports": lambda: subjects('{{ service: "{}" }}'),
    "imports": lambda: subjects('{{ service: {{ account: STREAM, subject: "{}" }} }}'),
    "consumers": consumers,
    "subjects": lambda: subjects('"{}"'),
    "channel": lambda: references('{0}: {{"$ref": "#/components/messages/{0}"}}'),
    "operation": lambda: references('- {{"$ref": "#/channels/socket/messages/{}"}}'),
    "messages": messages,
    "natsChannels": nats_channels,
    "natsOperations": nats_operations,
    "natsMessages": nats_messages,
    "reasons": lambda: [f"reason: {json.dumps({'enum': [*REASONS, mistaken_subject.REASON]})}"],
    "table": table,
    "fields": event_schemas.table,
    "permissions": permissions,
    "browser": browser,
}
FILES = (
    "nats/nats-server.conf",
    "docs/asyncapi.yaml",
    "docs/protocol.md",
    "docs/publishers.md",
    "docs/security.md",
    "percolator/gateway/web/percolator/kinds.js",
)


def stream() -> str:
    """Write the stream's definition, without what is left to the server."""
    fields = definition("PERCOLATOR").as_dict()
    return json.dumps({name: value for name, value in fields.items() if value}, indent=2) + "\n"


def filled(text: str) -> str:
    """Write every block of a text again."""

    def block(found: re.Match[str]) -> str:
        lines = [f"{found['indent']}{line}\n" for line in BLOCKS[found["name"]]()]
        return found["head"] + "".join(lines) + found["foot"]

    return BLOCK.sub(block, text)


def derived() -> dict[str, str]:
    """Return each file, by its path, as it should be."""
    texts = {name: filled((ROOT / name).read_text()) for name in FILES}
    return (
        texts
        | event_schemas.files()
        | {
            "nats/stream.json": stream(),
            "docs/api-python.md": api_python.page(),
            "docs/api-browser.md": api_browser.page(),
        }
    )


if __name__ == "__main__":
    for name, text in derived().items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(text)
