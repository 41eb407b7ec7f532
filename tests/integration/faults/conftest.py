"""Shared by the fault suite: a summary of everything that the witnesses received."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults import figures
from tests.integration.faults.browser import CHROMIUM
from tests.integration.faults.judge import TOTAL

UNCLOSED = (
    "ignore:Exception ignored in. <(function (StreamWriter|_SelectorTransport)|socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow the tests' own publishers to leave sockets to the garbage collector.

    They use the client library's reconnect; if a server freezes during one, the library forgets
    the socket. `test_feed` checks our own connections.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(UNCLOSED))


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect such sockets in the test that left them."""
    yield
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def browser() -> Iterator[None]:
    """End the browser after the last test."""
    yield
    CHROMIUM.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how much was checked, and what was found."""
    for name, total in sorted(TOTAL.items()):
        terminalreporter.write_line(
            f"faults: {name}: {total.events} events checked, {total.gaps} gaps; lost without a gap "
            f"{total.lost}, duplicated {total.duplicated}, out of order {total.disordered}, "
            f"false gaps {total.false_gaps}, wrong prev {total.wrong_prev}, altered {total.altered}"
        )
    for line in figures.summary():
        terminalreporter.write_line(line)
