"""Commands: what clients send, read and checked. No state, no I/O, no clock."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic_core import from_json, to_json

from percolator.errors import RequestError
from percolator.model.channel import SLAB, Channel
from percolator.model.closes import ERRORS
from percolator.model.kinds import KINDS

ECHO = 64
"""Characters of a client's input that an error repeats, at most."""

LEGACY = tuple(kind for kind in KINDS if kind.envelope)
"""What a subscribe with `slabAddress` means: the kinds of the server that this one replaces."""

RequestId = str | int | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`channels` are valid, each once; `errors` are about the others.

    `since` is the seq that the client has: one for all channels, or one per channel name.
    """

    channels: tuple[Channel, ...]
    errors: tuple[RequestError, ...] = ()
    since: int | dict[str, int] | None = None
    epoch: str | None = None
    recent: int = 0
    id: RequestId = None
    slab: str | None = None
    """The market of the older form, which replies repeat."""

    @property
    def named(self) -> int:
        """How many channels it names, valid or not."""
        return len(self.channels) + len(self.errors)

    def since_of(self, channel: Channel) -> int | None:
        """Return the seq to resume this channel after; None for a fresh start."""
        return self.since.get(channel.name) if isinstance(self.since, dict) else self.since


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """As in Subscribe."""

    channels: tuple[Channel, ...]
    errors: tuple[RequestError, ...] = ()
    id: RequestId = None
    slab: str | None = None

    @property
    def named(self) -> int:
        """How many channels it names, valid or not."""
        return len(self.channels) + len(self.errors)


@dataclass(frozen=True, slots=True)
class Ping:
    """A heartbeat that a browser can see."""

    id: RequestId = None
    named: ClassVar = 0
    channels: ClassVar[tuple[Channel, ...]] = ()


@dataclass(frozen=True, slots=True)
class Auth:
    """A signed token."""

    token: str = field(repr=False)
    id: RequestId = None
    named: ClassVar = 0
    channels: ClassVar[tuple[Channel, ...]] = ()


Command = Subscribe | Unsubscribe | Ping | Auth


class InvalidCommand(Exception):  # noqa: N818 - a verdict on a message, not a fault of ours
    """A message that is not a command: the error to send, and what to send with it."""

    def __init__(
        self, error: RequestError, request_id: RequestId = None, slab: str | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.request_id = request_id
        self.slab = slab


def parse(text: bytes, max_channels: int = 0) -> Command:
    """Read one client message; it may name `max_channels` channels, if that is not 0.

    Raises InvalidCommand.
    """
    try:
        message = from_json(text, allow_inf_nan=False)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise InvalidCommand(RequestError("invalid_json", "send one JSON object per message"))
    request_id = message.get("id")
    if not _is_id(request_id):
        raise InvalidCommand(
            RequestError("invalid_message", f"id must be an integer or a string of up to {ECHO}")
        )
    try:
        return _command(message, request_id, max_channels)
    except RequestError as error:
        raise InvalidCommand(error, request_id, _slab(message)) from None


def refuse_binary() -> Command:
    """Raise InvalidCommand for a binary message."""
    raise InvalidCommand(RequestError("invalid_message", "send text messages, not binary ones"))


def _command(message: dict[str, Any], request_id: RequestId, max_channels: int) -> Command:
    match message.get("type"):
        case "subscribe":
            channels, errors = _channels(message, max_channels)
            return Subscribe(
                channels,
                errors,
                since=_since(message.get("since")),
                epoch=_text(message, "epoch"),
                recent=_count(message.get("recent", 0), "recent"),
                id=request_id,
                slab=_slab(message),
            )
        case "unsubscribe":
            channels, errors = _channels(message, max_channels)
            return Unsubscribe(channels, errors, id=request_id, slab=_slab(message))
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


def _channels(
    message: dict[str, Any], max_channels: int
) -> tuple[tuple[Channel, ...], tuple[RequestError, ...]]:
    """Read the channels of either form; the legacy one names a market and means LEGACY."""
    if _is_legacy(message):
        slab = _slab(message)
        if slab is None:
            raise RequestError(
                "invalid_channel",
                "slabAddress is not a valid market name",
                _echo(message["slabAddress"]),
            )
        return tuple(Channel(kind, slab) for kind in LEGACY), ()
    named = message.get("channels")
    if not isinstance(named, list) or not named:
        raise RequestError("invalid_message", "channels must be a list of one or more channels")
    if max_channels and len(named) > max_channels:
        raise RequestError("channel_limit", f"a message may name up to {max_channels} channels")
    valid: dict[Channel, None] = {}
    errors = {}
    for name in named:
        channel = Channel.parse(name) if isinstance(name, str) else None
        if channel is not None:
            valid[channel] = None
        else:
            echo = _echo(name)
            errors[echo] = RequestError("invalid_channel", ERRORS["invalid_channel"], echo)
    return tuple(valid), tuple(errors.values())


def _is_legacy(message: dict[str, Any]) -> bool:
    return "channels" not in message and "slabAddress" in message


def _slab(message: dict[str, Any]) -> str | None:
    """Return the market of the older form, if it is valid."""
    slab = message["slabAddress"] if _is_legacy(message) else None
    return slab if isinstance(slab, str) and SLAB.fullmatch(slab) else None


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
        return {str(name): _count(seq, "since") for name, seq in value.items()}
    return None if value is None else _count(value, "since")


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise RequestError("invalid_message", f"{name} must be an integer of 0 or more")
    return value


def _text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError("invalid_message", f"{name} must be a string")
    return value
