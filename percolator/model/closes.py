"""Error codes and close codes: every way in which a gateway refuses a client, with its sentence."""

from enum import IntEnum
from typing import NamedTuple

from percolator.model.channel import CHANNEL_EXAMPLES

ERRORS = {
    "invalid_json": "the message is not a JSON object",
    "invalid_message": "a field of the message is missing or has the wrong form",
    "unknown_type": "unknown message type",
    "invalid_channel": f"not a valid channel: use a name such as {CHANNEL_EXAMPLES}",
    "unauthorized": "the token is missing, not valid, or does not cover the channel",
    "slab_limit": "the market's client limit is reached",
    "channel_limit": "the client's channel limit is reached",
    "rate_limited": "too many messages; slow down",
    "not_subscribed": "not subscribed to the channel",
    "more_errors": "the message has more errors than are listed",
    "auth_disabled": "this gateway requires no token",
}
"""Every error code, and its sentence."""


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
    """Why a connection is closed: a code, and a reason in words without figures."""

    code: CloseCode
    reason: str


CLOSE_CONNECTIONS = Close(CloseCode.POLICY, "too many connections")
CLOSE_CONNECTIONS_PER_IP = Close(CloseCode.POLICY, "too many connections from this address")
CLOSE_SLAB = Close(CloseCode.POLICY, "too many clients on this market")
CLOSE_RATE = Close(CloseCode.POLICY, "too many messages")
CLOSE_SILENT = Close(CloseCode.POLICY, "no message was sent in time")
CLOSE_UNAUTHENTICATED = Close(CloseCode.POLICY, "not authenticated in time")
CLOSE_WRONG_TOKENS = Close(CloseCode.POLICY, "too many wrong tokens from this address")
CLOSE_EXPIRED = Close(CloseCode.POLICY, "the token has expired")
CLOSE_NOT_TEXT = Close(CloseCode.INVALID_DATA, "messages must be text")
CLOSE_NOT_UTF8 = Close(CloseCode.INVALID_DATA, "the text is not UTF-8")
CLOSE_NOT_READY = Close(CloseCode.TRY_LATER, "not ready, try again later")
CLOSE_SHUTDOWN = Close(CloseCode.GOING_AWAY, "the gateway is shutting down, reconnect")
CLOSE_INTERNAL = Close(CloseCode.INTERNAL, "internal error")
