"""Messages: what clients get. Each is built here, as the bytes of one text frame.

No state, no I/O, no clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from websockets.frames import Frame, Opcode

from percolator.errors import RequestError
from percolator.model.channel import Channel
from percolator.model.closes import ERRORS
from percolator.model.commands import RequestId
from percolator.model.fields import encoded, event_fields
from percolator.model.kinds import Event


def text_frame(payload: bytes) -> bytes:
    """Frame one text message as a server does: whole, not masked, with no extension."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def _message(
    fields: dict[str, Any], request_id: RequestId = None, slab: str | None = None
) -> bytes:
    if slab is not None:
        fields["slabAddress"] = slab
    if request_id is not None:
        fields["id"] = request_id
    return text_frame(to_json(fields))


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits that a client is told, so that it can keep to them; 0 means that there is none."""

    message_bytes: int = 0
    messages_per_second: float = 0
    message_burst: int = 0
    channels: int = 0
    """Channels that a client may follow, and that one message may name."""
    replay: int = 0
    """Events that are replayed per message."""


def connected(
    epoch: str, seq: int, limits: ClientLimits, *, heartbeat_ms: int, stale_since: int | None
) -> bytes:
    """The greeting: the stream's epoch, the seq that this gateway has read, and what to expect.

    `stale_since` is as in `feed`.
    """
    return _message(
        {
            "type": "connected",
            "message": "Percolator WebSocket connected",
            "epoch": epoch,
            "seq": seq,
            "limits": {
                "messageBytes": limits.message_bytes,
                "messagesPerSecond": limits.messages_per_second,
                "messageBurst": limits.message_burst,
                "channels": limits.channels,
                "replay": limits.replay,
            },
            "heartbeatMs": heartbeat_ms,
            "feed": _feed_state(stale_since),
        }
    )


def feed(stale_since: int | None, seq: int) -> bytes:
    """What the gateway hears of NATS: nothing since a time in Unix milliseconds; None, all is well.

    `seq` is what it has read; once it hears again, it has read all that it missed.
    """
    fields = {"type": "feed", **_feed_state(stale_since)}
    if stale_since is None:
        fields["seq"] = seq
    return _message(fields)


def heartbeat(timestamp: int, seq: int) -> bytes:
    """What a client gets if there is nothing else: it was sent all that it follows up to `seq`.

    `timestamp` is in Unix milliseconds.
    """
    return _message({"type": "heartbeat", "timestamp": timestamp, "seq": seq})


def _feed_state(stale_since: int | None) -> dict[str, Any]:
    return {"state": "live"} if stale_since is None else {"state": "stale", "since": stale_since}


def subscribed(
    channels: Iterable[Channel],
    request_id: RequestId,
    *,
    unknown: Iterable[Channel] = (),
    slab: str | None = None,
) -> bytes:
    """The reply to a subscribe: the channels that are in force.

    `unknown` are those of them that have no event yet; `slab` is the market of the older form.
    """
    fields = {"type": "subscribed", "channels": [each.name for each in channels]}
    if without_events := [each.name for each in unknown]:
        fields["unknown"] = without_events
    return _message(fields, request_id, slab)


def unsubscribed(
    channels: Iterable[Channel], request_id: RequestId, slab: str | None = None
) -> bytes:
    """The reply to an unsubscribe: the channels that have ended."""
    fields = {"type": "unsubscribed", "channels": [each.name for each in channels]}
    return _message(fields, request_id, slab)


def pong(timestamp: int, request_id: RequestId) -> bytes:
    """The reply to a JSON ping; `timestamp` is in Unix milliseconds."""
    return _message({"type": "pong", "timestamp": timestamp}, request_id)


def authenticated(channels: Iterable[str], request_id: RequestId) -> bytes:
    """The reply to a token: the channel patterns that it covers."""
    return _message({"type": "authenticated", "channels": list(channels)}, request_id)


def error(fault: RequestError, request_id: RequestId, slab: str | None = None) -> bytes:
    """A refusal, with the channel that it is about."""
    fields = {"type": "error", "code": fault.code, "message": str(fault)}
    if fault.channel is not None:
        fields["channel"] = fault.channel
    return _message(fields, request_id, slab)


def more_errors(count: int, request_id: RequestId) -> bytes:
    """What stands for the errors of a reply that has too many: how many there were."""
    fields = {"type": "error", "code": "more_errors", "message": ERRORS["more_errors"]}
    return _message({**fields, "count": count}, request_id)


def closing(reconnect_in_ms: int) -> bytes:
    """The announcement of a planned shutdown."""
    return _message({"type": "closing", "reconnectInMs": reconnect_in_ms})


def gap(channel: Channel, after: int, before: int, epoch: str | None = None) -> bytes:
    """The announcement that a channel's events after one seq and before another are lost.

    `epoch` is set if the stream itself was replaced: later seqs are of the new one.
    """
    fields: dict[str, Any] = {"type": "gap", "channel": channel.name, "from": after, "to": before}
    if epoch is not None:
        fields["epoch"] = epoch
    return _message(fields)


def event_message(event: Event, seq: int, prev: int | None, *, snapshot: bool = False) -> bytes:
    """Encode and frame one event: the bytes that every client of its channel gets.

    What the publisher added to the event comes last.

    `prev` is the seq of the channel's event before this one: 0 if there is none, None if it is not
    known. Only lossless kinds carry it.
    """
    fields: dict[str, Any] = {"type": event.type, "slab": event.slab}
    fields.update(event_fields(event, seq, prev))
    if snapshot:
        fields["snapshot"] = True
    return text_frame(encoded(fields, event))
