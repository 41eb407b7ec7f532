"""What the tests of the command line share: the program, and a gateway on a stream of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program, Serving


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program, with nothing configured."""
    return Program(tmp_path)


@pytest.fixture
def percolator(tmp_path: Path, nats_url: str, stream_name: str) -> Program:
    """The program, configured for a stream of the test's own."""
    return Program(tmp_path, nats_url=nats_url, stream=stream_name)


@pytest.fixture
def serving(percolator: Program) -> Iterator[Serving]:
    """A gateway on that stream, which the program finds by its settings."""
    with percolator.gateway() as gateway:
        percolator.settings["port"] = gateway.ws.rpartition(":")[2]
        yield gateway
