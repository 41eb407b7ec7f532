"""Servers that a cluster announces by IP address, with certificates that name hosts."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509

from percolator.errors import NatsRefusedError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.dialer import Dialer
from tests.certificates import HOSTS, Authority
from tests.gateway import eventually
from tests.integration.faults.cluster import Cluster, cluster

LOCALHOST, LOOPBACK = HOSTS


@pytest.fixture(params=[[LOCALHOST], [LOOPBACK], [LOCALHOST, LOOPBACK]], ids=["name", "ip", "both"])
def hosts(request: pytest.FixtureRequest) -> Sequence[x509.GeneralName]:
    """What the certificate of all servers names."""
    names: Sequence[x509.GeneralName] = request.param
    return names


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom clients trust."""
    return Authority(tmp_path)


@pytest.fixture
def servers(
    tmp_path: Path, authority: Authority, hosts: Sequence[x509.GeneralName]
) -> Iterator[Cluster]:
    """Three servers with TLS, and a user; what they announce is 127.0.0.1 and their ports."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue(cert, key, "nats", hosts=hosts)
    flags = ("--tls", f"--tlscert={cert}", f"--tlskey={key}", "--user=alice", "--pass=hunter2")
    with cluster(tmp_path / "nats", *flags) as started:
        yield started


def first_of(
    servers: Cluster, authority: Authority, hosts: Sequence[x509.GeneralName]
) -> NatsAddress:
    """The address of one server, under a name that its certificate has."""
    host = "localhost" if LOCALHOST in hosts else "127.0.0.1"
    port = servers.servers["n1"].port
    return NatsAddress(f"tls://alice:hunter2@{host}:{port}", tls_ca=authority.file)


async def announced(servers: Cluster, address: NatsAddress) -> None:
    """Wait until the first server announces all others."""
    while True:
        client = await connect(address, name="test", reconnect=False)
        found = len(client.discovered_servers)
        await client.close()
        if found >= len(servers.servers) - 1:
            return
        await asyncio.sleep(0.02)


def dialer_to(address: NatsAddress) -> Dialer:
    """A dialer as the feed has it."""

    async def find() -> NatsAddress:
        return address

    return Dialer(find, name="test")


async def test_the_dialer_finds_each_other_server_when_those_before_it_have_died(
    servers: Cluster, authority: Authority, hosts: Sequence[x509.GeneralName]
) -> None:
    """From the address of one; the login and the name for the certificate go with it."""
    address = first_of(servers, authority, hosts)
    await announced(servers, address)
    dialer = dialer_to(address)
    left = dict(servers.servers)
    while left:
        ended = asyncio.Event()

        async def closed(ended: asyncio.Event = ended) -> None:
            ended.set()

        client = await dialer.dial(closed)
        url = client.connected_url
        assert url is not None
        name = next(each for each, server in left.items() if server.port == url.port)
        await client.flush()
        left.pop(name).kill()
        await ended.wait()


async def test_a_client_reconnects_to_each_other_server_when_those_before_it_have_died(
    servers: Cluster,
    authority: Authority,
    hosts: Sequence[x509.GeneralName],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As publishers do, which keep their connection."""
    monkeypatch.setattr("percolator.jetstream.connect.RECONNECT_SECONDS", 0.02)
    address = first_of(servers, authority, hosts)
    await announced(servers, address)
    client = await connect(address, name="test", reconnect=True)
    left = dict(servers.servers)
    while len(left) > 1:
        url = client.connected_url
        assert url is not None
        name = next(each for each, server in left.items() if server.port == url.port)
        reconnects = client.stats["reconnects"]
        left.pop(name).kill()
        await eventually(lambda: client.stats["reconnects"] > reconnects)  # noqa: B023
    await client.close()


@pytest.mark.parametrize("hosts", [[LOCALHOST]], ids=["localhost"], indirect=True)
async def test_an_announced_server_with_the_certificate_of_another_host_is_refused(
    servers: Cluster, authority: Authority, hosts: Sequence[x509.GeneralName], tmp_path: Path
) -> None:
    """The same authority has signed it."""
    address = first_of(servers, authority, hosts)
    await announced(servers, address)
    strange = [x509.DNSName("other.example")]
    authority.issue(tmp_path / "cert.pem", tmp_path / "key.pem", "nats", hosts=strange)
    dialer = dialer_to(address)
    client = await dialer.dial(_ignore)
    first, *others = servers.servers.values()
    for other in others:
        other.restart()
    first.kill()
    with pytest.raises(NatsRefusedError) as raised:
        await dialer.dial(_ignore)
    await client.close()
    said = str(raised.value)
    assert f"tls://localhost:{first.port} (nothing answers there)" in said
    for other in others:
        assert (
            f"tls://127.0.0.1:{other.port} (the TLS handshake failed: Hostname mismatch, "
            "certificate is not valid for 'localhost')"
        ) in said
    assert said.endswith("; use a name in nats_url that the server's certificate has")
    assert "hunter2" not in said


async def _ignore() -> None:
    """Ignore that a connection has ended."""
