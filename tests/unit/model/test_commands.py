"""The vocabulary of the WebSocket: what is parsed from a client's message, and what is sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.model import messages
from percolator.model.channel import Channel
from percolator.model.closes import ERRORS
from percolator.model.commands import (
    ECHO,
    Auth,
    Command,
    InvalidCommand,
    Ping,
    Subscribe,
    Unsubscribe,
    parse,
    refuse_binary,
)
from tests.channels import channel
from tests.unit.wire import message

LARGEST = 2**63 - 1


def text(**fields: object) -> bytes:
    """Return a client's message."""
    return json.dumps(fields).encode()


def named(*names: str) -> tuple[Channel, ...]:
    """The channels of these names."""
    return tuple(channel(name) for name in names)


def refusal(data: bytes) -> InvalidCommand:
    """Return the reason why a message is not a valid command."""
    with pytest.raises(InvalidCommand) as refused:
        parse(data)
    assert refused.value.error.code in ERRORS
    return refused.value


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (
            text(type="subscribe", channels=["price:SOL", "trades:SOL", "funding:BTC"]),
            Subscribe(named("price:SOL", "trades:SOL", "funding:BTC")),
        ),
        (
            text(type="unsubscribe", channels=["trades:SOL"]),
            Unsubscribe(
                named(
                    "trades:SOL",
                )
            ),
        ),
        (
            text(type="subscribe", slabAddress="SOL"),
            Subscribe(named("price:SOL", "trades:SOL", "funding:SOL"), slab="SOL"),
        ),
        (
            text(type="unsubscribe", slabAddress="SOL"),
            Unsubscribe(named("price:SOL", "trades:SOL", "funding:SOL"), slab="SOL"),
        ),
        (text(type="ping"), Ping()),
        (text(type="ping", more=1), Ping()),
        (b'  {"type" : "ping"}\n', Ping()),
        (text(type="auth", token="t"), Auth("t")),
        (
            text(type="subscribe", channels=["price:SOL"], since=7, epoch="e", recent=3, id="a"),
            Subscribe(
                named(
                    "price:SOL",
                ),
                since=7,
                epoch="e",
                recent=3,
                id="a",
            ),
        ),
        (
            text(type="subscribe", channels=["trades:SOL"], since={"trades:SOL": 7}),
            Subscribe(
                named(
                    "trades:SOL",
                ),
                since={"trades:SOL": 7},
            ),
        ),
        (
            text(type="subscribe", channels=["price:SOL"], since=None, epoch=None),
            Subscribe(
                named(
                    "price:SOL",
                )
            ),
        ),
        (
            text(type="subscribe", channels=["price:SOL"], slabAddress="BTC"),
            Subscribe(
                named(
                    "price:SOL",
                )
            ),
        ),
    ],
)
def test_a_command_is_parsed(data: bytes, command: Command) -> None:
    """Each row of the protocol, and both ways of naming channels."""
    assert parse(data) == command


def test_since_is_one_seq_for_all_channels_or_one_per_channel() -> None:
    """A channel that a map does not name starts fresh."""
    sol, btc = named("trades:SOL", "trades:BTC")
    assert Subscribe((sol,), since=7).since_of(sol) == 7
    assert Subscribe((sol,), since={"trades:SOL": 8}).since_of(sol) == 8
    assert Subscribe((sol,), since={"trades:SOL": 8}).since_of(btc) is None
    assert Subscribe((sol,)).since_of(sol) is None


def test_a_channel_named_twice_is_kept_once() -> None:
    """In the order of its first mention."""
    data = text(type="subscribe", channels=["trades:B", "price:A", "trades:B"])
    assert parse(data) == Subscribe(named("trades:B", "price:A"))


def test_an_invalid_channel_does_not_affect_the_others() -> None:
    """It becomes an error that names it, once."""
    data = text(type="subscribe", channels=["price:A", "price:A:junk", 5, "price:A:junk"], id=1)
    command = parse(data)
    assert isinstance(command, Subscribe)
    assert command.channels == named("price:A")
    assert [(error.code, error.channel) for error in command.errors] == [
        ("invalid_channel", "price:A:junk"),
        ("invalid_channel", "5"),
    ]


def test_a_token_is_not_shown() -> None:
    """A command in a log must not reveal it."""
    assert "secret" not in repr(Auth("secret"))


@pytest.mark.parametrize("request_id", ["", "x" * 64, 0, -5, LARGEST, -LARGEST])
def test_an_id_is_a_string_or_an_integer(request_id: str | int) -> None:
    """It is returned unchanged, in errors too."""
    command = parse(text(type="ping", id=request_id))
    assert command.id == request_id
    assert type(command.id) is type(request_id)
    assert refusal(text(type="x", id=request_id)).request_id == request_id


@pytest.mark.parametrize("request_id", [1.5, True, [], {}, "x" * 65, LARGEST + 1])
def test_another_id_is_refused(request_id: object) -> None:
    """And not sent back, since no client could match it."""
    refused = refusal(text(type="ping", id=request_id))
    assert (refused.error.code, refused.request_id) == ("invalid_message", None)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"x", b"[]", b"null", b"1", b'"ping"', b"\xff", b'{"type":"ping"}x', b"[" * 4000),
        *(b'{"type":"ping","id":NaN}', b'{"type":"ping","id":' + b"9" * 8000 + b"}"),
    ],
)
def test_a_message_that_is_not_a_json_object_is_refused(data: bytes) -> None:
    """Whatever is wrong with it."""
    assert refusal(data).error.code == "invalid_json"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (text(type="x"), "unknown_type"),
        (text(type=""), "unknown_type"),
        (text(), "invalid_message"),
        (text(type=1), "invalid_message"),
        (text(type=["ping"]), "invalid_message"),
        (text(type="subscribe"), "invalid_message"),
        (text(type="subscribe", channels=[]), "invalid_message"),
        (text(type="subscribe", channels="price:SOL"), "invalid_message"),
        (text(type="subscribe", channels=None, slabAddress="SOL"), "invalid_message"),
        (text(type="unsubscribe", channels={}), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since=-1), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since=1.0), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since=True), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since="1"), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since=LARGEST + 1), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], since={"x": None}), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], recent=-1), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], recent=None), "invalid_message"),
        (text(type="subscribe", channels=["price:SOL"], epoch=1), "invalid_message"),
        (text(type="subscribe", slabAddress="S.L"), "invalid_channel"),
        (text(type="subscribe", slabAddress=None), "invalid_channel"),
        (text(type="subscribe", slabAddress=5), "invalid_channel"),
        (text(type="auth"), "invalid_message"),
        (text(type="auth", token=""), "invalid_message"),
        (text(type="auth", token=5), "invalid_message"),
    ],
)
def test_each_fault_in_a_message_has_a_code(data: bytes, code: str) -> None:
    """And a text that says more."""
    error = refusal(data).error
    assert error.code == code
    assert str(error)


def test_a_binary_message_is_refused_with_advice() -> None:
    """It is answered like any other invalid message."""
    with pytest.raises(InvalidCommand) as refused:
        refuse_binary()
    assert refused.value.error.code == "invalid_message"
    assert "text" in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        text(type="é" * 500),
        text(type="subscribe", slabAddress="é" * 500),
        text(type="subscribe", slabAddress=["x" * 500]),
        text(type="auth", token=["x" * 500]),
        text(type="ping", id="x" * 500),
    ],
)
def test_no_error_repeats_more_than_64_characters_of_the_input(data: bytes) -> None:
    """Neither in its text nor as its channel."""
    error = refusal(data).error
    assert str(error).count("é") + str(error).count("x") <= ECHO + 1  # an x of our own
    assert len(error.channel or "") <= ECHO


def test_an_invalid_channel_is_repeated_truncated() -> None:
    """Enough of it to recognise which one it was."""
    command = parse(text(type="subscribe", channels=["y" * 500, ["z" * 500]]))
    assert isinstance(command, Subscribe)
    assert [error.channel for error in command.errors] == ["y" * 64, '["' + "z" * 62]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.sampled_from(
    ["type", "channels", "slabAddress", "since", "epoch", "recent", "id", "token"]
)
types = st.sampled_from(["subscribe", "unsubscribe", "ping", "auth"])
channels = st.lists(st.sampled_from(["price:SOL", "trades:SOL", "x"]) | json_values, max_size=4)
requests = st.builds(
    lambda fields, kind, named: {**fields, "type": kind, "channels": named},
    st.dictionaries(names, json_values),
    types,
    channels,
)


def outcome(data: bytes) -> Command | InvalidCommand:
    """Parse a client's message; return the command or the error."""
    try:
        return parse(data)
    except InvalidCommand as refused:
        return refused


@given(st.binary(max_size=64) | (json_values | requests).map(lambda one: json.dumps(one).encode()))
def test_any_input_is_a_command_or_can_be_answered(data: bytes) -> None:
    """Only InvalidCommand is raised, and each error makes a message of bounded size."""
    found = outcome(data)
    if isinstance(found, InvalidCommand):
        errors, request_id = [found.error], found.request_id
    else:
        errors = [] if isinstance(found, Ping | Auth) else list(found.errors)
        request_id = found.id
    for error in errors:
        sent = message(messages.error(error, request_id))
        assert sent["code"] in ERRORS
        assert len(sent["message"]) <= 400
        assert len(sent.get("channel", "")) <= ECHO
