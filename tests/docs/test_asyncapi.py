"""docs/asyncapi.yaml matches the code: real messages fit it, and others do not."""

import json
from typing import Any

import pytest

from percolator.errors import RequestError
from percolator.model import closes, commands, messages, mistaken_subject
from percolator.model.channel import REJECTED_SUBJECT, Channel
from percolator.model.events import REASONS
from percolator.model.kinds import KIND_OF_NAME, KINDS
from tests.channels import channel, decode
from tests.docs import plain_yaml
from tests.docs.pages import ROOT
from tests.docs.schema import fits, resolve
from tests.unit.wire import message

DOCUMENT = plain_yaml.read((ROOT / "docs" / "asyncapi.yaml").read_text())
PRICE = decode("percolator.price.SOL", b'{"price":1.5,"timestamp":1750000000007}')
MARKED = decode(
    "percolator.price.SOL",
    b'{"price":1.5,"markPrice":2,"indexPrice":3,"openInterest":"5","timestamp":1750000000007}',
)
TRADE = decode(
    "percolator.trade.SOL",
    b'{"side":"long","size":"340282366920938463463374607431768211455",'
    b'"price":1e-7,"timestamp":1750000060000}',
)
FUNDING = decode(
    "percolator.funding.S-_1",
    b'{"rate":"-0.0001","intervalHours":8,"nextFundingTime":1750000000000,'
    b'"timestamp":1750000000000}',
)
LIQUIDATION = decode(
    "percolator.liquidation.SOL",
    b'{"side":"short","size":"1","price":1.5,"timestamp":1750000000000}',
)
MARKET = decode("percolator.market.SOL", b'{"status":"retired","timestamp":1234567890123}')
DESCRIBED = decode(
    "percolator.market.SOL",
    '{"status":"active","displayName":"SOL € ⚡","baseDecimals":9,"tickSize":"0.001",'
    '"timestamp":1234567890123}'.encode(),
)
ENVELOPE = decode(
    "percolator.funding.SOL",
    b'{"event":"funding.updated","data":{"rateE6":-1},"timestamp":1750000000000}',
)
ENCODED = [
    (
        "connected",
        messages.connected(
            "66", 0, messages.ClientLimits(4_096, 0.5), heartbeat_ms=0, stale_since=None
        ),
    ),
    (
        "connected",
        messages.connected("66", 0, messages.ClientLimits(), heartbeat_ms=1, stale_since=3),
    ),
    ("feed", messages.feed(None, 7)),
    ("feed", messages.feed(5, 7)),
    ("heartbeat", messages.heartbeat(5, 7)),
    ("subscribed", messages.subscribed([channel("price:SOL"), channel("trades:S-_1")], None)),
    ("subscribed", messages.subscribed([], "a")),
    (
        "subscribed",
        messages.subscribed([channel("price:S")], "a", unknown=[channel("price:S")], slab="S"),
    ),
    ("unsubscribed", messages.unsubscribed([channel("funding:SOL")], 7)),
    ("unsubscribed", messages.unsubscribed([channel("funding:SOL")], 7, "SOL")),
    ("pong", messages.pong(1, -7)),
    ("authenticated", messages.authenticated(["price:*", "*"], "x")),
    *(("error", messages.error(RequestError(c, "text", "x"), None)) for c in closes.ERRORS),
    ("error", messages.error(RequestError("invalid_json", "text"), 1)),
    ("error", messages.error(RequestError("invalid_json", "text"), 1, "SOL")),
    ("error", messages.more_errors(3, 1)),
    ("closing", messages.closing(0)),
    ("gap", messages.gap(channel("trades:SOL"), 1, 5)),
    ("gap", messages.gap(channel("trades:SOL"), 1, 5, "66")),
    ("price", messages.event_message(PRICE, 1, None)),
    ("price", messages.event_message(MARKED, 1, None, snapshot=True)),
    ("trade", messages.event_message(TRADE, 2, 0)),
    ("trade", messages.event_message(TRADE, 2, None, snapshot=True)),
    ("funding", messages.event_message(FUNDING, 2, 1, snapshot=True)),
    ("liquidation", messages.event_message(LIQUIDATION, 2, 1)),
    ("liquidation", messages.event_message(LIQUIDATION, 2, None, snapshot=True)),
    ("funding", messages.event_message(ENVELOPE, 2, None)),
    ("market", messages.event_message(MARKET, 2, None)),
    ("market", messages.event_message(DESCRIBED, 2, None, snapshot=True)),
]
CLIENT = [
    {"type": "subscribe", "channels": ["price:SOL"]},
    {"type": "subscribe", "channels": ["price:SOL", "nothing:SOL"]},
    {"type": "subscribe", "channels": ["trades:a:b"]},
    {"type": "subscribe", "channels": ["trades:SOL"], "since": 4, "epoch": "e", "id": 1},
    {"type": "subscribe", "channels": ["trades:SOL"], "since": {"trades:SOL": 4}},
    {"type": "subscribe", "channels": ["trades:SOL"], "since": {"trades:SOL": -4}},
    {"type": "subscribe", "channels": ["trades:SOL"], "since": -1},
    {"type": "subscribe", "channels": ["trades:SOL"], "since": None, "recent": 3},
    {"type": "subscribe", "channels": ["trades:SOL"], "recent": "3"},
    {"type": "subscribe", "channels": ["trades:SOL"], "epoch": 3},
    {"type": "subscribe", "channels": []},
    {"type": "subscribe"},
    {"type": "subscribe", "slabAddress": "SOL"},
    {"type": "subscribe", "slabAddress": "S L"},
    {"type": "unsubscribe", "channels": ["price:SOL"], "id": "x" * 64},
    {"type": "unsubscribe", "channels": ["price:SOL"], "id": "x" * 65},
    {"type": "unsubscribe", "slabAddress": "SOL", "id": True},
    {"type": "unsubscribe", "slabAddress": "SOL", "also": "ignored"},
    {"type": "ping"},
    {"type": "ping", "id": None},
    {"type": "ping", "id": []},
    {"type": "auth", "token": "t"},
    {"type": "auth", "token": ""},
    {"type": "auth"},
    {"type": "other"},
    {},
]


def payload(name: str) -> Any:  # noqa: ANN401 - a schema
    return DOCUMENT["components"]["messages"][name]["payload"]


def names_of(operation: str) -> list[str]:
    """Return the names of an operation's messages, following its references through the channel."""
    through = [resolve(m["$ref"], DOCUMENT) for m in DOCUMENT["operations"][operation]["messages"]]
    assert all(resolve(each["$ref"], DOCUMENT) for each in through)
    return [each["$ref"].rpartition("/")[2] for each in through]


def parses(given: object) -> bool:
    """Whether the gateway accepts a message without an error."""
    try:
        command = commands.parse(json.dumps(given).encode())
    except commands.InvalidCommand:
        return False
    return not getattr(command, "errors", ())


@pytest.mark.parametrize(("name", "frame"), ENCODED)
def test_each_message_to_a_client_fits_only_its_own_schema(name: str, frame: bytes) -> None:
    """It fits only with its required fields, and only an event may have more."""
    sent = message(frame)
    assert [each for each in names_of("toClient") if fits(sent, payload(each), DOCUMENT)] == [name]
    assert fits({**sent, "another": 1}, payload(name), DOCUMENT) == (name in KIND_OF_NAME)
    assert not fits({**sent, "another": {}}, payload(name), DOCUMENT)
    for field in payload(name)["required"]:
        less = {key: value for key, value in sent.items() if key != field}
        assert not fits(less, payload(name), DOCUMENT)
        assert not fits({**sent, field: {}}, payload(name), DOCUMENT)


def test_the_gateway_sends_every_message_and_field_that_is_described() -> None:
    """The file describes nothing that the gateway does not send."""
    assert {name for name, _ in ENCODED} == set(names_of("toClient"))
    for name in names_of("toClient"):
        seen = {key for each, frame in ENCODED if each == name for key in message(frame)}
        assert seen == set(payload(name)["properties"])


@pytest.mark.parametrize("given", CLIENT, ids=json.dumps)
def test_a_message_from_a_client_fits_if_the_gateway_accepts_it(given: dict[str, Any]) -> None:
    """It does not fit if the gateway answers with an error."""
    fit = any(fits(given, payload(name), DOCUMENT) for name in names_of("fromClient"))
    assert fit == parses(given)


def test_the_described_error_codes_are_those_of_the_code() -> None:
    """In the same order."""
    assert payload("error")["properties"]["code"]["enum"] == list(closes.ERRORS)


def test_every_message_belongs_to_an_operation() -> None:
    """And to the channel."""
    in_operations = [name for operation in DOCUMENT["operations"] for name in names_of(operation)]
    in_channels = [name for each in DOCUMENT["channels"].values() for name in each["messages"]]
    every = set(DOCUMENT["components"]["messages"])
    assert every == set(in_operations) == set(in_channels)
    assert len(every) == len(in_operations) == len(in_channels)


def test_every_operation_is_of_one_channel_which_has_its_messages_and_a_server() -> None:
    """The channel of a WebSocket is on one server, those of NATS on another."""
    for operation in DOCUMENT["operations"].values():
        channel_reference = operation["channel"]["$ref"]
        for each in operation["messages"]:
            assert each["$ref"].startswith(f"{channel_reference}/messages/")
        (server,) = resolve(channel_reference, DOCUMENT)["servers"]
        address = resolve(channel_reference, DOCUMENT)["address"]
        wanted = "nats" if address.startswith("percolator.") else "ws"
        assert resolve(server["$ref"], DOCUMENT)["protocol"] == wanted


def test_the_subjects_of_all_kinds_are_described() -> None:
    """Each with the schema of its kind, and the headers that JetStream reads."""
    subjects = {
        each["address"]: list(each["messages"])
        for each in DOCUMENT["channels"].values()
        if "{slab}" in each["address"]
    }
    assert set(subjects) == {Channel(kind, "{slab}").subject for kind in KINDS}
    for subject, (name,) in subjects.items():
        schema = json.loads((ROOT / "docs" / payload(name)["$ref"]).read_text())
        assert schema["properties"]["type"]["const"] == subject.split(".")[1]
        headers = resolve(DOCUMENT["components"]["messages"][name]["headers"]["$ref"], DOCUMENT)
        assert set(headers["properties"]) == {"Nats-Msg-Id", "Nats-Expected-Stream"}


def test_the_described_reasons_of_a_rejection_are_those_of_the_code() -> None:
    """In the same order, on the subject of rejections."""
    assert DOCUMENT["channels"]["rejected"]["address"] == REJECTED_SUBJECT
    assert payload("rejected")["properties"]["reason"]["enum"] == [
        *REASONS,
        mistaken_subject.REASON,
    ]
