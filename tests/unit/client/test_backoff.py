"""Back-off: the waits between attempts."""

import random

import pytest

from percolator.client.backoff import Backoff


@pytest.fixture(autouse=True)
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the longest wait, and no random one."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


def test_waits_double_up_to_a_limit_however_many_attempts_fail() -> None:
    """The exponent stays what a float can hold."""
    backoff = Backoff()
    waits = [backoff.delay(0, data=False) for _ in range(2_000)]
    assert waits[:6] == [0.5, 1, 2, 4, 8, 10]
    assert waits[-1] == 10


@pytest.mark.parametrize(
    ("lasted", "data", "wait"), [(5, True, 0.25), (4.9, True, 4), (60, False, 4), (0, True, 4)]
)
def test_waits_start_over_after_a_connection_that_lasted_with_data(
    lasted: float,
    data: bool,  # noqa: FBT001 - a parameter of the test
    wait: float,
) -> None:
    """A first reply is not enough, and neither is an open socket."""
    backoff = Backoff()
    for _ in range(3):
        backoff.delay(0, data=True)
    assert backoff.delay(lasted, data=data) == wait


def test_the_wait_that_a_closing_gateway_asks_for_is_followed() -> None:
    """But there are at most four attempts per second."""
    backoff = Backoff()
    assert backoff.delay(9, 12.5, data=True) == 12.5
    assert backoff.delay(0.1, 0.0, data=True) == pytest.approx(0.15)
