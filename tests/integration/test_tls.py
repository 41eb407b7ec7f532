"""TLS: on the gateway's own port, with certificates that change, and to NATS."""

import asyncio
import contextlib
import re
import signal
import socket
import ssl
from pathlib import Path

import pytest

from percolator.errors import SettingsError
from percolator.gateway.tls import Certificate
from tests.cli.program import Program
from tests.client import PATIENCE, frame, upgrade
from tests.gateway import eventually
from tests.integration.conftest import StartGateway
from tests.site import Site

SUBSCRIBE = '{"type":"subscribe","channels":["trades:SOL"]}'


async def test_clients_are_served_over_tls(site: Site, start_gateway: StartGateway) -> None:
    """Handshake, upgrade, replies, events, close and plain requests."""
    gateway = await start_gateway(**site.settings)
    async with site.client(gateway.port) as client:
        assert '"connected"' in str(await client.recv())
        await client.send(SUBSCRIBE)
        assert '"subscribed"' in str(await client.recv())
        seq = await gateway.publish("trade", "SOL")
        assert f'"seq":{seq}' in str(await client.recv())
    await eventually(lambda: gateway.service.stats.closed == {1000: 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=site.trusting)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_a_client_without_tls_gets_no_answer(site: Site, start_gateway: StartGateway) -> None:
    """Not even an error."""
    gateway = await start_gateway(**site.settings)
    client = await gateway.dial()
    client.write(upgrade())
    await client.gone()
    assert client.head == b""


async def test_old_versions_of_tls_are_refused(site: Site) -> None:
    """The minimum is 1.2."""
    certificate = Certificate(site.cert, site.key)
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_the_buffer_of_a_slow_client_is_bounded_over_tls_too(
    site: Site, start_gateway: StartGateway
) -> None:
    """It is behind, and its buffer stays within the limit; other clients get everything."""
    gateway = await start_gateway(**site.settings)
    stalled = await asyncio.to_thread(subscribed_and_silent, gateway.port, site.trusting)
    async with site.client(gateway.port) as client:
        await client.send(SUBSCRIBE)
        while '"subscribed"' not in str(await client.recv()):
            pass
        while not gateway.service.hub.paused:
            seq = await gateway.publish("trade", "SOL")
            while f'"seq":{seq},' not in str(await client.recv()):
                pass
        limit = gateway.service.settings.max_buffered_bytes
        for connection in gateway.service.gateway.connections:
            assert connection.transport.get_write_buffer_size() <= limit
    stalled.close()


def subscribed_and_silent(port: int, trusting: ssl.SSLContext) -> socket.socket:
    """Return the socket of a client that subscribes, then stops reading; its buffer is small."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    plain.connect(("127.0.0.1", port))
    secure = trusting.wrap_socket(plain, server_hostname="127.0.0.1")
    secure.sendall(upgrade() + frame(SUBSCRIBE.encode()))
    while b'"subscribed"' not in secure.recv(4_096):
        pass
    return secure


async def test_new_clients_get_the_new_certificate(
    site: Site,
    start_gateway: StartGateway,
) -> None:
    """Existing connections stay open."""
    gateway = await start_gateway(**site.settings)
    assert await site.presented(gateway.port) == "first"
    async with site.client(gateway.port) as client:
        await client.recv()
        site.issue("second")
        gateway.service.reload_certificate()
        assert await site.presented(gateway.port) == "second"
        await client.send('{"type":"ping"}')
        assert '"pong"' in str(await client.recv())


@pytest.mark.parametrize("damage", ["tls_cert", "tls_key"])
async def test_unusable_files_leave_the_certificate_unchanged(
    damage: str,
    site: Site,
    start_gateway: StartGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The old certificate stays in use, and the log gives the reason."""
    gateway = await start_gateway(**site.settings)
    site.settings[damage].write_text("-----BEGIN nothing-----\n")
    gateway.service.reload_certificate()
    assert await site.presented(gateway.port) == "first"
    assert "the TLS certificate was not reloaded: settings tls_cert and tls_key" in caplog.text
    site.settings[damage].unlink()
    gateway.service.reload_certificate()
    assert await site.presented(gateway.port) == "first"
    assert "cannot be read" in caplog.text


async def test_sighup_reloads_the_certificate(
    site: Site,
    tmp_path: Path,
    nats_url: str,
    stream_name: str,
) -> None:
    """In the running program."""
    program = Program(tmp_path, nats_url=nats_url, stream=stream_name, **site.settings)
    with program.start("serve", "--port", "0") as running:
        found = re.search(
            r"WebSocket wss://127\.0\.0\.1:([0-9]+), dashboard https:", running.line()
        )
        assert found
        port = int(found[1])
        assert await site.presented(port) == "first"
        site.issue("second")
        running.signal(signal.SIGHUP)
        await asyncio.to_thread(running.complaint, "certificate was reloaded")
        assert await site.presented(port) == "second"


def test_a_key_that_does_not_match_the_certificate_is_reported_in_one_sentence(
    site: Site, tmp_path: Path
) -> None:
    """Before anything is started."""
    first = site.cert.read_bytes()
    site.issue("second")
    site.cert.write_bytes(first)
    done = Program(tmp_path, **site.settings).run("serve")
    assert done.code == 2
    assert done.err == (
        f"percolator: settings tls_cert and tls_key: the key in {site.key} "
        f"does not match the certificate in {site.cert}\n"
    )


def test_a_key_with_a_password_is_refused_without_a_prompt(
    site: Site,
) -> None:
    """A service has no terminal for a prompt."""
    site.issue("locked", password=b"hunter2")
    with pytest.raises(SettingsError, match="the key without a password"):
        Certificate(site.cert, site.key)


async def test_what_a_client_that_waits_for_its_rate_holds_is_bounded_over_tls_too(
    site: Site, start_gateway: StartGateway
) -> None:
    """What asyncio has read and decrypted: more than without TLS, but no more than the docs say."""
    gateway = await start_gateway(**site.settings, messages_per_second=0.5, message_burst=1)
    flooding = await asyncio.to_thread(subscribed_and_silent, gateway.port, site.trusting)
    flooding.settimeout(0.5)  # until the gateway takes no more
    with contextlib.suppress(TimeoutError):
        await asyncio.to_thread(flooding.sendall, frame(b'{"type":"ping"}'.ljust(256)) * 16_000)
    (waiting,) = gateway.service.gateway.connections
    secure = waiting.transport._ssl_protocol  # type: ignore[attr-defined]
    held = len(waiting._unparsed) + secure._incoming.pending
    flooding.close()
    assert 0 < held <= 320 * 1024
