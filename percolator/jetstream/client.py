"""The NATS client: the library's, made safe against what publishers may send, and given its names.

Publishers choose the bytes of subjects and headers, and nats-server passes them on unchecked. The
library stops reading for good at the first bytes that it cannot parse. So everything that comes
from a publisher is parsed here, and every byte string has a result.
"""

import re
from typing import Any

import nats.errors
import nats.protocol.parser
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.protocol.parser import PERMISSIONS_ERR

DEFAULT_API = "$JS.API"
DEFAULT_INBOX = "_INBOX"

# nats-server divides a line at spaces and tabs only, and the library at any white space: an event
# on a subject with a form feed would end the connection.
_WORD = rb"([^ \t\r\n]+)"
_ARGUMENTS = rb"[ \t]+" + _WORD + rb"[ \t]+(\d+)[ \t]+(" + _WORD + rb"[ \t]+)?"
nats.protocol.parser.MSG_RE = re.compile(rb"\AMSG" + _ARGUMENTS + rb"(\d+)\r\n")
nats.protocol.parser.HMSG_RE = re.compile(rb"\AHMSG" + _ARGUMENTS + rb"(\d+)[ \t]+(\d+)\r\n")


class NatsClient(Client):
    """A connection to NATS.

    `prefix` is the name under which the server gives this user its share of JetStream, its inboxes
    and its consumers (see nats/nats-server.conf); without one, it has NATS's own names.
    """

    def __init__(self, prefix: str | None = None, *, requires_tls: bool = False) -> None:
        """With `requires_tls`, it disconnects from a server without TLS before it logs in."""
        super().__init__()
        self.prefix = prefix
        self._requires_tls = requires_tls

    @property
    def api(self) -> str:
        """Prefix of the subjects of JetStream's API."""
        return f"{self.prefix}.API" if self.prefix else DEFAULT_API

    @property
    def inbox_prefix(self) -> str:
        """Prefix of the subjects on which it gets answers."""
        return f"{DEFAULT_INBOX}.{self.prefix}" if self.prefix else DEFAULT_INBOX

    def new_deliver_subject(self) -> str:
        """Return a new subject to which a consumer may deliver events."""
        inbox = self.new_inbox()
        return f"{self.prefix}.deliver.{inbox.rpartition('.')[2]}" if self.prefix else inbox

    def jetstream(self, **options: Any) -> JetStreamContext:  # noqa: ANN401 - the library's signature
        """Return the library's JetStream context."""
        return super().jetstream(**{"prefix": self.api, **options})

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        # The library only upgrades to TLS if the server asks for it. An attacker in between could
        # therefore get the credentials unencrypted.
        if self._requires_tls and initial_connection and not info.get("tls_required"):
            raise nats.errors.Error("nats: the server does not offer TLS")
        await super()._process_info(info, initial_connection)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse_headers(headers) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return self.msg_class(
            subject=text_of(subject),
            reply=text_of(reply),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )


def refusal(client: Client) -> str:
    """Return what NATS does not permit this user and what to set, if it said so; else nothing.

    NATS does not answer a request that it refuses.
    """
    error = str(client.last_error or "").removeprefix("nats: ")
    if PERMISSIONS_ERR not in error:
        return ""
    return f" ({error}): set nats_prefix to the name that NATS gives this user"


def text_of(data: bytes) -> str:
    r"""Decode bytes that a publisher chose; bytes that are not UTF-8 appear as `\xff`."""
    return data.decode("utf-8", "backslashreplace")


def parse_headers(block: bytes) -> dict[str, str]:
    """Parse a block of headers; a status in its first line becomes Status and Description.

    Of headers with the same name the last one counts: nats-server adds its own after a publisher's.
    A line that is not a header is ignored.
    """
    first, *lines = text_of(block).split("\r\n")
    _, _, status = first.partition(" ")
    code, _, description = status.strip().partition(" ")
    found = {"Status": code} if code.isdigit() else {}
    if found and description:
        found["Description"] = description
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found
