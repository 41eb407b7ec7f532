"""What the fault suite shares: a summary of all that the witnesses were sent."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.judge import TOTAL

FORGOTTEN = (
    "ignore:Exception ignored in. <(function (StreamWriter|_SelectorTransport)|socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests' own publishers leave sockets to the garbage collector.

    They come back by themselves, as the client library does it; where a server freezes in the
    middle of that, it forgets the socket. Our own connections are looked at in `test_feed`.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(FORGOTTEN))


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Have that happen in the test that it is of."""
    yield
    gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was checked, and what was found."""
    if TOTAL.events:
        terminalreporter.write_line(
            f"faults: {TOTAL.events} events checked, {TOTAL.gaps} gaps; lost without a gap "
            f"{TOTAL.lost}, doubled {TOTAL.doubled}, out of order {TOTAL.disordered}, "
            f"false gaps {TOTAL.false_gaps}, wrong links {TOTAL.unlinked}, altered {TOTAL.altered}"
        )
