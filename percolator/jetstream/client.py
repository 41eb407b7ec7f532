"""The NATS client: the library's, made safe against what publishers may send, and given its names.

Publishers choose the bytes of subjects and headers, and nats-server passes them on unchecked. The
library stops reading for good at the first bytes that it cannot parse. So everything that comes
from a publisher is parsed here, and every byte string has a result.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlparse

import nats.errors
import nats.protocol.parser
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext

from percolator.jetstream.address import NatsAddress, Server
from percolator.jetstream.failures import WANTS_CERTIFICATE
from percolator.jetstream.refusals import Refusals
from percolator.printable import printable

DEFAULT_API = "$JS.API"
DEFAULT_INBOX = "_INBOX"
SAID_CHARS = 500
"""Characters of an error of NATS that are kept."""
NOWHERE = NatsAddress("")

logger = logging.getLogger(__name__)

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

    def __init__(self, address: NatsAddress = NOWHERE, servers: Sequence[Server] = ()) -> None:
        """`servers` are those of the address that it may connect to.

        If the address requires TLS, it disconnects from a server without TLS before it logs in.
        """
        super().__init__()
        self.prefix = address.prefix
        self.known = {server.place: server for server in servers}
        """The servers that it knows, also those that the cluster has announced."""
        self.said = ""
        """The last error that NATS sent; the owner may clear it."""
        self._address = address
        self._refusals = Refusals(has_prefix=bool(address.prefix or address.inbox_prefix))

    @property
    def api(self) -> str:
        """Prefix of the subjects of JetStream's API."""
        return f"{self.prefix}.API" if self.prefix else DEFAULT_API

    @property
    def inbox_prefix(self) -> str:
        """Prefix of the subjects on which it gets answers."""
        if self._address.inbox_prefix:
            return self._address.inbox_prefix
        return f"{DEFAULT_INBOX}.{self.prefix}" if self.prefix else DEFAULT_INBOX

    def new_deliver_subject(self) -> str:
        """Return a new subject to which a consumer may deliver events."""
        inbox = self.new_inbox()
        return f"{self.prefix}.deliver.{inbox.rpartition('.')[2]}" if self.prefix else inbox

    def jetstream(self, **options: Any) -> JetStreamContext:  # noqa: ANN401 - the library's signature
        """Return the library's JetStream context."""
        return super().jetstream(**{"prefix": self.api, **options})

    def add_servers(self, servers: Iterable[Server]) -> None:
        """Add further servers to reconnect to."""
        for server in servers:
            if self.known.setdefault(server.place, server) is server:
                self._server_pool.append(Srv(urlparse(server.url)))

    def watch(self, future: asyncio.Future[Any], *subjects: str) -> None:
        """Fail a future with RefusedError once NATS refuses one of the subjects."""
        self._refusals.watch(future, *subjects)

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish as the library does; if it is a request, it fails once NATS refuses it."""
        if reply and self._resp_sub_prefix:
            inbox = self._resp_sub_prefix.decode()
            if waiting := self._resp_map.get(reply.removeprefix(inbox)):
                self.watch(waiting, subject, f"{inbox}*")
        await super().publish(subject, payload, reply, headers)

    async def _process_connect_init(self) -> None:
        names = self._server.tls_names
        assert self._current_server is not None
        # A server may have one of several names: each attempt to reconnect checks the next one.
        self.options["tls_hostname"] = names[self._current_server.reconnects % len(names)]
        await super()._process_connect_init()
        transport = self._transport
        writer = transport._io_writer if isinstance(transport, TcpTransport) else None  # noqa: SLF001
        if writer is not None:
            # After start_tls, asyncio does not know that it is over TLS: it would log a warning
            # when the server closes the connection.
            protocol: Any = writer.transport.get_protocol()
            protocol._over_ssl = writer.get_extra_info("sslcontext") is not None  # noqa: SLF001

    def _connect_command(self) -> bytes:
        login = self._server.login
        self._auth_configured = self._auth_configured or any(part is not None for part in login)
        self.options |= login._asdict()
        return super()._connect_command()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        # The library only upgrades to TLS if the server asks for it. An attacker in between could
        # therefore get the credentials unencrypted.
        if self._address.requires_tls and initial_connection:
            if info.get("tls_available"):
                info["tls_required"] = True  # for us
            if not info.get("tls_required"):
                raise nats.errors.Error("nats: the server does not offer TLS")
        if info.get("tls_verify") and initial_connection and self._address.tls_cert is None:
            raise nats.errors.Error(f"nats: {WANTS_CERTIFICATE}")
        await super()._process_info(info, initial_connection)
        for server in self._address.discovered(self.discovered_servers, self._server):
            self.known.setdefault(server.place, server)

    async def _process_err(self, err_msg: str) -> None:
        # The library passes it on in lower case; the line is still the first in its buffer.
        line, _, _ = self._ps.buf.partition(b"\r\n")
        said = text_of(line).removeprefix("-ERR").strip(" \t'")
        before, self.said = self.said, printable(said, SAID_CHARS)
        if not self._refusals.note(self.said) and self.said != before:
            logger.warning("NATS says: %s", self.said)
        if self._resp_sub_prefix and self._refusals.is_refused(
            f"{self._resp_sub_prefix.decode()}*"
        ):
            self._resp_sub_prefix = None  # the next request asks for an inbox again
        await super()._process_err(err_msg)

    @property
    def _server(self) -> Server:
        """The server that it is connected or connecting to."""
        assert self._current_server is not None
        return self.known[self._current_server.uri.netloc]

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


def text_of(data: bytes | bytearray) -> str:
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
