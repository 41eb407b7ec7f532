"""A certificate that is refused: every client of ours says what OpenSSL said."""

import asyncio
import itertools
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from percolator.client import State, follow
from percolator.client.address import GatewayAddress
from percolator.errors import GatewayUnreachableError, NatsUnreachableError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator_cli import gateway as gateway_of
from percolator_cli.doctor.examine import _socket_trouble
from percolator_cli.doctor.facts import GatewayFacts
from percolator_cli.loadtest.client_pool import ClientPool
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.limit_probe import LimitProbe
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.reference import Reference
from tests.certificates import Authority
from tests.integration.conftest import StartGateway
from tests.nats_server import NatsServer

ELSEWHERE = {"hosts": [x509.DNSName("elsewhere.test")]}
UNKNOWN_CA = "unable to get local issuer certificate"
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"expired": True}, "certificate has expired"),
    (ELSEWHERE, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ({"trusted": False}, UNKNOWN_CA),
    ({"names_authority": False}, "Missing Authority Key Identifier"),
]
"""What is wrong with a certificate, and what OpenSSL says of it when it verifies strictly."""


@dataclass
class Site:
    """A certificate, its key, and the CA that clients trust."""

    cert: Path
    key: Path
    ca: Path


def make_site(folder: Path, *, trusted: bool = True, **fault: Any) -> Site:  # noqa: ANN401 - as issue()
    """Make a certificate with a fault."""
    authority = Authority(folder)
    cert, key = folder / "cert.pem", folder / "key.pem"
    authority.issue(cert, key, "site", **fault)
    if trusted:
        return Site(cert, key, authority.file)
    other = folder / "other"
    other.mkdir()
    return Site(cert, key, Authority(other).file)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify as Python 3.13 does, on every version."""
    default = ssl.create_default_context

    def strictly(*args: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the original
        context = default(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strictly)
    monkeypatch.setattr(ssl, "_create_default_https_context", strictly)


@pytest.fixture(params=FAULTS)
async def refused(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start_gateway: StartGateway,
) -> tuple[GatewayAddress, str]:
    """A gateway whose certificate is refused, and why."""
    fault, said = request.param
    site = make_site(tmp_path, **fault)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca))
    gateway = await start_gateway(tls_cert=site.cert, tls_key=site.key)
    return GatewayAddress("127.0.0.1", gateway.port, secure=True), said


async def test_a_command_says_why_it_refuses_a_gateways_certificate(
    refused: tuple[GatewayAddress, str],
) -> None:
    """In the one sentence that says that no gateway answers."""
    at, said = refused
    with pytest.raises(GatewayUnreachableError) as raised:
        await asyncio.to_thread(gateway_of.fetch, at, "/health")
    assert f"its certificate is refused: {said}" in str(raised.value)
    assert ("SSL_CERT_FILE" in str(raised.value)) == (said == UNKNOWN_CA)


async def test_the_doctor_and_the_load_tests_report_why_a_certificate_is_refused(
    refused: tuple[GatewayAddress, str],
) -> None:
    """The same words, from each kind of connection."""
    at, said = refused
    trouble = await _socket_trouble(at, None, (), GatewayFacts(""))
    assert trouble == f"the TLS handshake failed: {said}"
    pool = ClientPool(at, None)
    await pool.resolve()
    await pool.add(["price:SOL"], None, Reference("SOL", Histogram(), lambda *_: None), None)
    assert dict(pool.refusals) == {Refusal("TLS", said): 1}
    async with LimitProbe(at, None, itertools.repeat(None)) as probe:
        assert await probe.open(None) == Refusal("TLS", said)


async def test_a_command_that_uses_tls_without_need_suggests_plain_http(
    start_gateway: StartGateway,
) -> None:
    """A gateway without TLS answers the handshake at once, in plain HTTP."""
    gateway = await start_gateway()
    at = GatewayAddress("127.0.0.1", gateway.port, secure=True)
    with pytest.raises(GatewayUnreachableError, match=r"wrong version number \(without TLS"):
        await asyncio.to_thread(gateway_of.fetch, at, "/health")


async def test_a_command_that_gets_no_answer_over_tls_suggests_plain_http(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some servers without TLS wait for the rest of the request."""
    monkeypatch.setattr(gateway_of, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = GatewayAddress("127.0.0.1", silent.getsockname()[1], secure=True)
        with pytest.raises(GatewayUnreachableError, match=r"timed out \(without TLS"):
            await asyncio.to_thread(gateway_of.fetch, at, "/health")


@pytest.mark.parametrize(("fault", "said"), FAULTS)
async def test_a_gateway_says_why_it_refuses_the_certificate_of_nats(
    tmp_path: Path, fault: dict[str, Any], said: str
) -> None:
    """In the one sentence that says that NATS cannot be reached."""
    site = make_site(tmp_path, **fault)
    flags = ("--tls", f"--tlscert={site.cert}", f"--tlskey={site.key}")
    with NatsServer(tmp_path / "nats", *flags) as server:
        address = NatsAddress(server.url, tls_ca=site.ca)
        with pytest.raises(NatsUnreachableError) as raised:
            await connect(address, name="test", reconnect=False)
    assert f"the TLS handshake failed: {said}" in str(raised.value)


@pytest.mark.parametrize(("fault", "said"), FAULTS)
async def test_the_python_client_says_why_it_waits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start_gateway: StartGateway,
    fault: dict[str, Any],
    said: str,
) -> None:
    """It tries again, since the certificate may be replaced, and its state gives the reason."""
    site = make_site(tmp_path, **fault)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca))
    gateway = await start_gateway(tls_cert=site.cert, tls_key=site.key)
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_state(state: State) -> None:
        if state.name == "waiting" and not reason.done():
            reason.set_result(state.reason)

    following = follow(f"wss://127.0.0.1:{gateway.port}", ["price:SOL"], on_state=on_state)
    task = asyncio.ensure_future(anext(following))
    assert f"the TLS handshake failed: {said}" in await reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
