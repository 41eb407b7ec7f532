"""What the fault suite shares: a summary of all that the witnesses were sent."""

import pytest

from tests.integration.faults.judge import TOTAL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was checked, and what was found."""
    if TOTAL.events:
        terminalreporter.write_line(
            f"faults: {TOTAL.events} events checked, {TOTAL.gaps} gaps; lost without a gap "
            f"{TOTAL.lost}, doubled {TOTAL.doubled}, out of order {TOTAL.disordered}, "
            f"false gaps {TOTAL.false_gaps}, wrong links {TOTAL.unlinked}, altered {TOTAL.altered}"
        )
