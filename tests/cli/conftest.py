"""Fixtures for the command line: the program, and a gateway on the test's own stream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.hostile_answers import PAGES
from tests.cli.program import Program, Serving
from tests.hostile import CONNECTED, ESCAPES, HostileGateway, hostile_gateway, saying, text


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program, with nothing configured."""
    return Program(tmp_path)


@pytest.fixture
def percolator(tmp_path: Path, nats_url: str, stream_name: str) -> Program:
    """The program, configured for the test's own stream."""
    return Program(tmp_path, nats_url=nats_url, stream=stream_name)


@pytest.fixture
def serving(percolator: Program) -> Iterator[Serving]:
    """A gateway on that stream, which `percolator` finds through its settings; tests poll it."""
    with percolator.gateway("--requests-per-second", "0") as gateway:
        percolator.settings["port"] = gateway.ws.rpartition(":")[2]
        yield gateway


@pytest.fixture
def hostile() -> Iterator[HostileGateway]:
    """A gateway with harmful text in every answer."""
    refused = {"type": "error", "code": "unauthorized", "message": f"[red]{ESCAPES}"}
    with hostile_gateway(pages=dict(PAGES), speak=saying(text(CONNECTED), text(refused))) as found:
        yield found
