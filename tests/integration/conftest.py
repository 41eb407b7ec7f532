"""Fixtures for the integration tests: gateways on streams of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from percolator.gateway import connection, sweep
from tests.gateway import Gateway, running
from tests.site import Site

StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start_gateway(nats_url: str, stream_name: str) -> AsyncIterator[StartGateway]:
    """Start gateways with given settings; all of them share the test's stream."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Gateway:
            return await stack.enter_async_context(running(nats_url, stream_name, **settings))

        yield start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway whose only limits are those on sizes."""
    return await start_gateway()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose certificate is called `first`."""
    return Site(tmp_path)


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a fraction of a second, and a sweep that runs often enough for them."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(sweep, "SWEEP_SECONDS", 0.05)
