"""TLS to NATS: the files, the certificate that we show, and the ways in which servers begin."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from percolator.errors import NatsRefusedError, NatsUnfitError, NatsUnreachableError
from percolator.jetstream import connect as module
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.certificates import Authority
from tests.nats_server import NatsServer


class Pki:
    """An authority, a certificate for servers and one for clients, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.ca = self.authority.file
        self.cert, self.key = folder / "server.pem", folder / "server.key"
        self.own_cert, self.own_key = folder / "client.pem", folder / "client.key"
        self.authority.issue(self.cert, self.key, "nats")
        self.authority.issue(self.own_cert, self.own_key, "gateway")


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Certificates of the test's own."""
    return Pki(tmp_path)


@contextmanager
def serving(pki: Pki, folder: Path, tls: str) -> Iterator[NatsServer]:
    """Run a server whose `tls` block has these lines too."""
    config = folder / "nats.conf"
    config.write_text(f'tls {{ cert_file: "{pki.cert}", key_file: "{pki.key}"\n{tls} }}\n')
    greets = "handshake_first" not in tls
    flags = ("--config", str(config))
    with NatsServer(folder / "nats", *flags, jetstream=False, greets=greets) as server:
        yield server


async def is_accepted(address: NatsAddress) -> bool:
    """Connect, and get an answer."""
    client = await connect(address, name="test", reconnect=False)
    await client.flush()
    await client.close()
    return True


async def refusal(address: NatsAddress) -> str:
    """Return the error of an address that a server refuses, or we do."""
    with pytest.raises(NatsRefusedError) as raised:
        await connect(address, name="test", reconnect=False)
    return str(raised.value)


async def test_a_client_certificate_is_shown_to_the_server(pki: Pki, tmp_path: Path) -> None:
    """Without it, the server refuses the connection, and the error names the settings."""
    with serving(pki, tmp_path, f'verify: true, ca_file: "{pki.ca}"') as server:
        assert await is_accepted(
            NatsAddress(server.url, tls_ca=pki.ca, tls_cert=pki.own_cert, tls_key=pki.own_key)
        )
        said = await refusal(NatsAddress(server.url, tls_ca=pki.ca))
    assert said == (
        f"NATS at {server.url} cannot be reached: the server asks for a certificate; "
        "set nats_tls_cert and nats_tls_key"
    )


async def test_the_end_of_a_server_leaves_nothing_in_the_log(
    pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The feed reports the end of its connection."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    with serving(pki, tmp_path, "") as server:
        address = NatsAddress(server.url, tls_ca=pki.ca)
        await connect(address, name="test", reconnect=False, closed=closed)
        server.terminate()
        await ended.wait()
        server.start()
    assert caplog.messages == []


async def test_a_connection_may_begin_with_the_handshake(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting, such a server says nothing, and the error names the setting."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    with serving(pki, tmp_path, "handshake_first: true") as server:
        assert await is_accepted(NatsAddress(server.url, tls_ca=pki.ca, tls_first=True))
        with pytest.raises(NatsUnreachableError, match="set nats_tls_first, if it has handsh"):
            await connect(NatsAddress(server.url, tls_ca=pki.ca), name="test", reconnect=False)


async def test_a_server_that_greets_first_is_reported_by_the_setting(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    address = NatsAddress("", tls_ca=pki.ca, tls_first=True)
    with serving(pki, tmp_path, "") as server, pytest.raises(NatsUnreachableError) as raised:
        await connect(replace(address, url=server.url), name="test", reconnect=False)
    assert str(raised.value).endswith(" (unset nats_tls_first, unless it has handshake_first)")


async def test_tls_is_used_where_a_server_only_offers_it(pki: Pki, tmp_path: Path) -> None:
    """It also serves clients without TLS."""
    with serving(pki, tmp_path, "") as server:
        config = tmp_path / "nats.conf"
        config.write_text(f"allow_non_tls: true\n{config.read_text()}")
        server.restart()
        assert await is_accepted(NatsAddress(server.url))
        assert await is_accepted(NatsAddress(server.url, tls_ca=pki.ca))
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        said = await refusal(NatsAddress(server.url, tls_ca=Authority(stranger).file))
    assert said.endswith(
        "the TLS handshake failed: unable to get local issuer certificate; set nats_tls_ca to the "
        "authority that signed its certificate"
    )


async def test_each_tls_setting_binds_all_servers_to_tls(pki: Pki, nats_url: str) -> None:
    """Whatever the scheme of their addresses."""
    plain = NatsAddress(nats_url, token="a secret")
    assert not plain.requires_tls
    for address in (
        replace(plain, tls_ca=pki.ca),
        replace(plain, tls_cert=pki.own_cert, tls_key=pki.own_key),
        replace(plain, url=f"{nats_url},tls://127.0.0.1:1"),
    ):
        assert address.requires_tls
        assert "the server does not offer TLS" in await refusal(address)
    assert replace(plain, tls_first=True).requires_tls


def _swap(pki: Pki) -> None:
    pki.own_cert.write_bytes(pki.cert.read_bytes())


def _lock(pki: Pki) -> None:
    pki.authority.issue(pki.own_cert, pki.own_key, "gateway", password=b"hunter2")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda pki: pki.ca.write_text("junk"), "setting nats_tls_ca: {ca} holds no certificate"),
        (
            lambda pki: pki.ca.write_text(""),
            "setting nats_tls_ca: {ca} holds no certificate in PEM",
        ),
        (lambda pki: pki.ca.unlink(), "setting nats_tls_ca: {ca} cannot be read (No such file"),
        (lambda pki: pki.own_cert.write_text("junk"), "{pair}{cert} holds no certificate in PEM"),
        (lambda pki: pki.own_key.write_text("junk"), "{pair}{key} holds no private key in PEM"),
        (lambda pki: pki.own_key.unlink(), "{pair}{key} cannot be read (No such file"),
        (_swap, "{pair}the key in {key} does not match the certificate in {cert}"),
        (_lock, "{pair}the key in {key} has a password: write the key without a password"),
    ],
)
async def test_a_file_that_cannot_be_used_is_reported_before_anything_is_sent(
    damage: Callable[[Pki], object], said: str, pki: Pki
) -> None:
    """In a sentence that names the setting and the file, also if no server answers."""
    damage(pki)
    files = {"ca": pki.ca, "cert": pki.own_cert, "key": pki.own_key}
    wanted = said.format(pair="settings nats_tls_cert and nats_tls_key: ", **files)
    address = NatsAddress(
        "nats://127.0.0.1:1", tls_ca=pki.ca, tls_cert=pki.own_cert, tls_key=pki.own_key
    )
    with pytest.raises(NatsUnfitError) as raised:
        await connect(address, name="test", reconnect=False)
    assert str(raised.value).startswith(wanted)
    assert "hunter2" not in str(raised.value)
