"""The vocabulary of the WebSocket: client commands in, messages out, error codes, close reasons.

Every message out is built here and comes out as the bytes of one text frame, ready for the
wire. No state, no I/O, no clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from websockets.frames import Frame, Opcode

from percolator.errors import RequestError
from percolator.model.events import SLAB, Event, Funding, Price, Trade, channel_of, parse_channel

ECHO = 64
"""So much of a client's input, in characters, is repeated to it at the most."""

RequestId = str | int | None

ERRORS = {
    "invalid_json": "the message is not a JSON object",
    "invalid_message": "a field of the message is missing or has the wrong form",
    "unknown_type": "there is no such message type",
    "invalid_channel": "not a channel: price:SLAB, trades:SLAB or funding:SLAB",
    "unauthorized": "the token is missing, not valid, or does not cover the channel",
    "slab_limit": "the market has as many clients as one may have",
    "channel_limit": "the client has as many channels as one may have",
    "rate_limited": "too many messages; slow down",
    "not_subscribed": "the client is not subscribed to the channel",
}
"""Every error code, and what it says."""


class CloseCode(IntEnum):
    """The close codes that a gateway uses."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_LATER = 1013


class Close(NamedTuple):
    """Why a connection is closed: a code, and a reason in words that carries no figures."""

    code: CloseCode
    reason: str


CLOSE_CONNECTIONS = Close(CloseCode.POLICY, "too many connections")
CLOSE_CONNECTIONS_PER_IP = Close(CloseCode.POLICY, "too many connections from this address")
CLOSE_SLAB = Close(CloseCode.POLICY, "too many clients on this market")
CLOSE_RATE = Close(CloseCode.POLICY, "too many messages")
CLOSE_SILENT = Close(CloseCode.POLICY, "no message in time")
CLOSE_UNAUTHENTICATED = Close(CloseCode.POLICY, "not authenticated in time")
CLOSE_EXPIRED = Close(CloseCode.POLICY, "the token has expired")
CLOSE_NOT_TEXT = Close(CloseCode.INVALID_DATA, "messages are text")
CLOSE_NOT_UTF8 = Close(CloseCode.INVALID_DATA, "the text is not UTF-8")
CLOSE_NOT_READY = Close(CloseCode.TRY_LATER, "not ready, try again later")
CLOSE_SHUTDOWN = Close(CloseCode.GOING_AWAY, "the gateway is shutting down, reconnect")
CLOSE_INTERNAL = Close(CloseCode.INTERNAL, "internal error")


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`channels` are valid and each stands there once; `errors` are those of the others.

    `since` gives, by channel, the seq that the client has: an int is for all of them.
    """

    channels: tuple[str, ...]
    errors: tuple[RequestError, ...] = ()
    since: int | dict[str, int] | None = None
    epoch: str | None = None
    recent: int = 0
    id: RequestId = None

    def since_of(self, channel: str) -> int | None:
        """Give the seq that this channel is to be resumed after, or None for a fresh start."""
        return self.since.get(channel) if isinstance(self.since, dict) else self.since


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """As in Subscribe."""

    channels: tuple[str, ...]
    errors: tuple[RequestError, ...] = ()
    id: RequestId = None


@dataclass(frozen=True, slots=True)
class Ping:
    """The heartbeat that a browser can see."""

    id: RequestId = None


@dataclass(frozen=True, slots=True)
class Auth:
    """A signed token."""

    token: str = field(repr=False)
    id: RequestId = None


Command = Subscribe | Unsubscribe | Ping | Auth


class InvalidCommand(Exception):  # noqa: N818 - a verdict on a message, not a fault of ours
    """A message that is no command: the error to send, and the id to send it with."""

    def __init__(self, error: RequestError, request_id: RequestId = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.request_id = request_id


def parse(text: bytes) -> Command:
    """Read one client message. Raises InvalidCommand."""
    try:
        message = from_json(text, allow_inf_nan=False)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise InvalidCommand(RequestError("invalid_json", "send one JSON object a message"))
    request_id = message.get("id")
    if not _is_id(request_id):
        raise InvalidCommand(
            RequestError("invalid_message", f"id must be an integer or a text of up to {ECHO}")
        )
    try:
        return _command(message, request_id)
    except RequestError as error:
        raise InvalidCommand(error, request_id) from None


def refuse_binary() -> Command:
    """Say what is wrong with a binary message. Raises InvalidCommand."""
    raise InvalidCommand(RequestError("invalid_message", "send text messages, not binary ones"))


def _command(message: dict[str, Any], request_id: RequestId) -> Command:
    match message.get("type"):
        case "subscribe":
            channels, errors = _channels(message)
            return Subscribe(
                channels,
                errors,
                since=_since(message.get("since")),
                epoch=_text(message, "epoch"),
                recent=_count(message.get("recent", 0), "recent"),
                id=request_id,
            )
        case "unsubscribe":
            return Unsubscribe(*_channels(message), id=request_id)
        case "ping":
            return Ping(request_id)
        case "auth":
            token = _text(message, "token")
            if not token:
                raise RequestError("invalid_message", "auth needs a token")
            return Auth(token, request_id)
        case str(other):
            known = "subscribe, unsubscribe, ping or auth"
            raise RequestError("unknown_type", f"no type {other[:ECHO]!r}: send {known}")
        case _:
            raise RequestError("invalid_message", "a message needs a type")


def _channels(message: dict[str, Any]) -> tuple[tuple[str, ...], tuple[RequestError, ...]]:
    """Take the channels of either form; the legacy one names a slab and means all three of it."""
    if "channels" not in message and "slabAddress" in message:
        slab = message["slabAddress"]
        if not isinstance(slab, str) or not SLAB.fullmatch(slab):
            raise RequestError("invalid_channel", "slabAddress is not a slab", _echo(slab))
        return tuple(channel_of(kind, slab) for kind in ("price", "trade", "funding")), ()
    named = message.get("channels")
    if not isinstance(named, list) or not named:
        raise RequestError("invalid_message", "channels must be a list of one or more channels")
    valid: dict[str, None] = {}
    errors = {}
    for channel in named:
        if isinstance(channel, str) and parse_channel(channel):
            valid[channel] = None
        else:
            echo = _echo(channel)
            errors[echo] = RequestError("invalid_channel", ERRORS["invalid_channel"], echo)
    return tuple(valid), tuple(errors.values())


def _echo(value: object) -> str:
    return (value if isinstance(value, str) else to_json(value).decode())[:ECHO]


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= ECHO
    return value is None or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    )


def _since(value: object) -> int | dict[str, int] | None:
    if isinstance(value, dict):
        return {str(channel): _count(seq, "since") for channel, seq in value.items()}
    return None if value is None else _count(value, "since")


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise RequestError("invalid_message", f"{name} must be an integer of 0 or more")
    return value


def _text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError("invalid_message", f"{name} must be a text")
    return value


def text_frame(payload: bytes) -> bytes:
    """Frame one text message as a server does: whole, not masked, with no extension."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def _message(fields: dict[str, Any], request_id: RequestId = None) -> bytes:
    if request_id is not None:
        fields["id"] = request_id
    return text_frame(to_json(fields))


def connected(epoch: str, seq: int) -> bytes:
    """Greet a client: the stream's epoch, and the seq that this gateway stands at."""
    return _message(
        {
            "type": "connected",
            "message": "Percolator WebSocket connected",
            "epoch": epoch,
            "seq": seq,
        }
    )


def subscribed(channels: Iterable[str], request_id: RequestId) -> bytes:
    """Say what of a request is in force."""
    return _message({"type": "subscribed", "channels": list(channels)}, request_id)


def unsubscribed(channels: Iterable[str], request_id: RequestId) -> bytes:
    """Say what a request has ended."""
    return _message({"type": "unsubscribed", "channels": list(channels)}, request_id)


def pong(timestamp: int, request_id: RequestId) -> bytes:
    """Answer a JSON ping; `timestamp` is Unix milliseconds."""
    return _message({"type": "pong", "timestamp": timestamp}, request_id)


def authenticated(channels: Iterable[str], request_id: RequestId) -> bytes:
    """Say which channel patterns a token opens."""
    return _message({"type": "authenticated", "channels": list(channels)}, request_id)


def error(fault: RequestError, request_id: RequestId) -> bytes:
    """Say what could not be done, and with which channel."""
    fields = {"type": "error", "code": fault.code, "message": str(fault)}
    if fault.channel is not None:
        fields["channel"] = fault.channel
    return _message(fields, request_id)


def closing(reconnect_in_ms: int) -> bytes:
    """Announce a planned shutdown."""
    return _message({"type": "closing", "reconnectInMs": reconnect_in_ms})


def gap(channel: str, after: int, before: int, epoch: str | None = None) -> bytes:
    """Announce that events of a channel after one seq and before another cannot be had any more.

    `epoch` is there where the stream itself was replaced: the seqs from here on are its.
    """
    fields: dict[str, Any] = {"type": "gap", "channel": channel, "from": after, "to": before}
    if epoch is not None:
        fields["epoch"] = epoch
    return _message(fields)


def event_message(event: Event, seq: int, prev: int | None, *, snapshot: bool = False) -> bytes:
    """Encode and frame one event: the bytes that every client of its channel gets.

    `prev` is the seq of the channel's event before this one: 0 where there is none, None where
    it cannot be known. Prices carry none, since they are latest-wins.
    """
    fields: dict[str, Any] = {"type": event.type, "slab": event.slab}
    match event:
        case Price():
            fields["price"] = event.price
            if event.markPrice is not None:
                fields["markPrice"] = event.markPrice
            if event.indexPrice is not None:
                fields["indexPrice"] = event.indexPrice
        case Trade():
            fields |= {"side": event.side, "size": event.size, "price": event.price}
        case Funding():  # pragma: no branch - there is no fourth kind
            fields["rate"] = event.rate
    fields["timestamp"] = event.timestamp
    fields["seq"] = seq
    if not isinstance(event, Price):
        fields["prev"] = prev
    if snapshot:
        fields["snapshot"] = True
    return text_frame(to_json(fields))
