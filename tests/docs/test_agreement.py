"""The code, docs/protocol.md, docs/asyncapi.yaml and both clients agree on every message.

docs/asyncapi.yaml is in the middle: tests/docs/test_asyncapi.py compares it with the code, and the
tests here compare everything else with it.
"""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from percolator.config.settings import Settings
from percolator.model import closes, commands, messages, server_messages
from percolator.model.kinds import KIND_OF_NAME
from tests.channels import channel
from tests.docs import clients
from tests.docs.pages import ROOT
from tests.docs.schema import fits
from tests.docs.test_asyncapi import DOCUMENT, ENCODED, names_of, payload
from tests.unit.wire import message, payloads

PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
LINE = re.compile(r"^    (\{.*\})", re.MULTILINE)
ROW = re.compile(r"^\| `?(\w+)`? \|", re.MULTILINE)
UNREAD = {"unsubscribed"}
"""Messages that the Python client need not read."""
EVENTS = frozenset(KIND_OF_NAME)


def section(title: str) -> str:
    """Return a section of docs/protocol.md, up to the next heading."""
    (found,) = re.findall(rf"^### {title}\n(.*?)(?=^##)", PROTOCOL, re.DOTALL | re.MULTILINE)
    return str(found)


def examples(title: str) -> Iterator[dict[str, Any]]:
    """Yield the messages of a section, with a value for each ellipsis and letter."""
    for line in LINE.findall(section(title)):
        text = line.replace('"code":"…"', '"code":"invalid_json"').replace("[…]", "[]")
        text = re.sub(r"\b[NM]\b|(?<!\")…(?!\")", "0", text.replace('"…"', '"x"'))
        yield json.loads(text)


def properties(name: str) -> dict[str, Any]:
    """Return the described fields of a message."""
    found: dict[str, Any] = payload(name)["properties"]
    return found


def required(name: str) -> set[str]:
    """Return the fields that a message always has."""
    return set(payload(name)["required"])


# From a gateway to a client.


def test_every_function_that_makes_a_message_makes_a_described_one() -> None:
    """And every described message, except for events, has a function."""
    made = {
        name
        for name, function in inspect.getmembers(messages, inspect.isfunction)
        if function.__module__ == messages.__name__ and not name.startswith("_")
    }
    described = set(names_of("toClient")) - EVENTS
    assert made - {"text_frame", "event_message", "more_errors"} == described


def test_the_protocol_shows_every_message_of_a_gateway() -> None:
    """Each example is a message as described."""
    shown = list(examples("Server to client"))
    assert {each["type"] for each in shown} == set(names_of("toClient"))
    for each in shown:
        assert fits(each, payload(each["type"]), DOCUMENT), each


@pytest.mark.parametrize("name", names_of("toClient"))
def test_the_protocol_names_every_field_of_a_message_of_a_gateway(name: str) -> None:
    """In the message's example, or in the text about all of them."""
    shown = {key for each in examples("Server to client") if each["type"] == name for key in each}
    text = PROTOCOL[: PROTOCOL.index("### Limits")] + PROTOCOL[PROTOCOL.index("## Order") :]
    named = {key for key in properties(name) if f'"{key}"' in text or f"`{key}`" in text}
    assert shown | named == set(properties(name))


@pytest.mark.parametrize(("name", "frame"), ENCODED)
def test_the_python_client_reads_every_message_of_the_gateway(name: str, frame: bytes) -> None:
    """As what it is, not as one of an unknown type."""
    (text,) = payloads(frame)
    assert (server_messages.read(text) is None) == (name in UNREAD)


def test_the_python_client_reads_a_gap_of_all_markets() -> None:
    """Which is as described."""
    frame = messages.gap(channel("trades:*"), 1, 5)
    assert fits(message(frame), payload("gap"), DOCUMENT)
    found = server_messages.read(*payloads(frame))
    assert isinstance(found, server_messages.Missing)
    assert found.channel == "trades:*"


@pytest.mark.parametrize("client", [clients.python, clients.browser, clients.typescript])
def test_a_client_knows_only_fields_that_are_described(client: Any) -> None:  # noqa: ANN401 - a function
    """It needs only those that a message always has; of a feed's state, `since` if it is stale."""
    found: dict[str, clients.Fields] = client()
    assert found.keys() >= {"gap"}
    schemas = DOCUMENT["components"]["schemas"]
    for name, fields in found.items():
        names = EVENTS if name == "event" else {name} & set(names_of("toClient"))
        described = [payload(each) for each in names] or [schemas[name]]
        known = {key for each in described for key in each["properties"]}
        always = {key for each in described for key in each["required"]}
        assert fields.known <= known, name
        assert fields.needed <= always, name


def test_the_types_of_events_have_every_field() -> None:
    """A page gets events as they were sent."""
    for name in EVENTS:
        found = clients.typescript()[name]
        assert found.known == set(properties(name))
        assert found.needed == required(name)


def test_the_clients_know_all_limits_of_a_greeting() -> None:
    """The browser client, if it reads them."""
    described = set(DOCUMENT["components"]["schemas"]["limits"]["properties"])
    assert clients.python()["limits"].known == described
    assert clients.browser_limits() in (frozenset(), described)
    assert set(message(dict(ENCODED)["connected"])["limits"]) == described


def test_the_protocol_has_every_error_code_and_no_other() -> None:
    """In the order of the code."""
    table = section("Server to client").partition("| error code |")[2]
    assert ROW.findall(table) == list(closes.ERRORS)


def test_the_protocol_has_every_close_code_and_no_other() -> None:
    """In ascending order; 1002 is of the WebSocket library."""
    table = section("Limits").partition("| close code |")[2]
    codes = sorted({1002, *(code.value for code in closes.CloseCode)})
    assert ROW.findall(table) == [str(code) for code in codes]


def test_the_protocol_has_the_limits_in_force_by_default() -> None:
    """In its table, and in the greeting that it shows."""
    given = Settings()
    rows = dict(re.findall(r"^\| ([^|;]+)[^|]* \| ([^|]+) \|", section("Limits"), re.MULTILINE))
    rate = f"{given.messages_per_second:g} per second, bursts of {given.message_burst}"
    attempts = f"{given.attempts_per_second:g} per second, bursts of {given.attempt_burst}"
    expected = {
        "connections": f"{given.max_connections:,}",
        "connections from one address": f"{given.max_connections_per_ip}",
        "clients on one market, over all its channels": f"{given.max_connections_per_slab}",
        "clients that follow all markets, over all wildcards": f"{given.max_wildcard_connections}",
        "channels per client": f"{given.max_channels_per_client}",
        "message size": f"{given.max_message_bytes:,} bytes",
        "messages per client": rate,
        "connection attempts from one address": attempts,
        "bytes waiting for one client": f"{given.max_buffered_bytes:,}",
    }
    assert {name: rows[name] for name in expected} == expected
    greeting = next(examples("Server to client"))
    assert greeting["limits"] == {
        "messageBytes": given.max_message_bytes,
        "messagesPerSecond": given.messages_per_second,
        "messageBurst": given.message_burst,
        "channels": given.max_channels_per_client,
        "replay": given.replay_limit,
    }
    assert greeting["heartbeatMs"] == given.heartbeat_interval * 1_000


# From a client to a gateway.


def test_the_protocol_shows_every_message_of_a_client() -> None:
    """The gateway accepts each, and each is as described."""
    shown = set()
    for each in examples("Client to server"):
        commands.parse(json.dumps(each).encode())
        (name,) = (name for name in names_of("fromClient") if fits(each, payload(name), DOCUMENT))
        shown.add(name)
    assert shown == set(names_of("fromClient"))


@pytest.mark.parametrize("name", names_of("fromClient"))
def test_the_protocol_names_every_field_of_a_message_of_a_client(name: str) -> None:
    """In an example or in the text."""
    text = section("Client to server")
    assert {key for key in properties(name) if f'"{key}"' not in text} == set()


def test_the_gateway_reads_every_described_field_of_a_client() -> None:
    """A wrong value in any of them is refused, so none is ignored."""
    for name in names_of("fromClient"):
        usual = {"type": properties(name)["type"]["const"], "token": "t"}
        usual |= {"slabAddress": "SOL"} if "slabAddress" in properties(name) else {}
        usual |= {"channels": ["price:SOL"]} if "channels" in properties(name) else {}
        commands.parse(json.dumps(usual).encode())
        for field in set(properties(name)) - {"type"}:
            with pytest.raises(commands.InvalidCommand):
                commands.parse(json.dumps(usual | {field: {"x": {}}}).encode())
