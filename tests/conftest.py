"""What every tier of the tests shares: a real NATS, and an environment without surprises."""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from tests import nats_container
from tests.nats_server import NatsServer

ADDRESS_VARIABLE = "TEST_NATS_URL"
"""Not PERCOLATOR_...: percolator refuses such a variable unless it is a setting."""
KEPT = "TESTS_KEEP"
"""A stream that is there as long as the tests run."""
LOG_TAIL_LINES = 60


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of slow tests, so that `pytest -m "not slow"` can skip them.

    Settings of the person who runs the tests must not reach what is tested.
    """
    config.addinivalue_line("markers", "slow: takes half a minute or more, in real time")
    for variable in [name for name in os.environ if name.startswith("PERCOLATOR_")]:
        del os.environ[variable]


@pytest.fixture(scope="session")
def nats_url(server_url: str) -> Iterator[str]:
    """A NATS with JetStream, shared by the whole session.

    All streams of percolator take the same subjects, so a test that makes one asks for
    `stream_name`, which takes it away again.
    """
    _run(_keep_a_stream(server_url))
    yield server_url
    _run(_delete_stream(server_url, KEPT))


@pytest.fixture(scope="session")
def server_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of that NATS: the one that was given, a container, or a process."""
    given = os.environ.get(ADDRESS_VARIABLE)
    if given:
        yield given
        return
    with contextlib.ExitStack() as stack:
        url = _container_url(request.config, stack)
        if url is None:
            url = stack.enter_context(NatsServer(tmp_path_factory.mktemp("nats"))).url
        yield url


def _container_url(config: pytest.Config, stack: contextlib.ExitStack) -> str | None:
    """Run a container. Returns its address; if it cannot run, None, and a line says why."""
    if not nats_container.engine_answers():
        return None
    obstacle = nats_container.obstacle()
    if not obstacle:
        try:
            return stack.enter_context(nats_container.running())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the engine
            obstacle = f"the engine does not run it ({nats_container.cause(error)})"
    _print_line(config, f"NATS runs as a process, not in a container: {obstacle}")
    return None


def _print_line(config: pytest.Config, text: str) -> None:
    """Print a line on the terminal, past what captures the output of tests."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        sys.stdout.write(f"\n{text}\n")
        sys.stdout.flush()


@pytest.fixture
async def stream_name(nats_url: str) -> AsyncIterator[str]:
    """A name for a stream of the test's own on `nats_url`; the stream goes with the test."""
    name = f"TEST_{uuid.uuid4().hex}"
    yield name
    await _delete_stream(nats_url, name)


async def _delete_stream(nats_url: str, name: str) -> None:
    client = await nats.connect(nats_url)
    try:
        await client.jetstream().delete_stream(name)
    except NotFoundError:
        pass  # the test made none, or deleted it itself
    finally:
        await client.close()


async def _keep_a_stream(nats_url: str) -> None:
    """Create a stream that stays as long as the tests run.

    With its last stream, nats-server deletes the folder that streams are in, and fails to create
    the next stream if that comes just then.
    """
    client = await nats.connect(nats_url)
    try:
        await client.jetstream().add_stream(name=KEPT, subjects=[KEPT.lower()])
    finally:
        await client.close()


def _run(work: Coroutine[object, object, None]) -> None:
    """Run it in a thread: this thread may already have a loop, that of the tests."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


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
