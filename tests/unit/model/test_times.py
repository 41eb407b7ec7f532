"""Times of events: what is plausible follows from the time at which JetStream stored the event."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model.kinds import MAX_TIMESTAMP
from percolator.model.times import EARLIEST_MS, MAX_AHEAD_MS, MAX_PLAN_MS, looks_like, time_fault
from tests.channels import STORED_MS, decode

PLANNED = "must be at most 31,622,400 s in the future"
WHOLE = "timestamp must be in Unix milliseconds"
AHEAD = "timestamp must be at most 60 s in the future"


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (1_700_000_000, f"{WHOLE}: 1700000000 looks like seconds"),
        (STORED_MS * 1_000, f"{WHOLE}: 1750000000000000 looks like microseconds"),
        (STORED_MS * 1_000_000, f"{WHOLE}: 1750000000000000000 looks like nanoseconds"),
        (0, f"{WHOLE}: 0 is before the year 2000"),
        (EARLIEST_MS - 1, f"{WHOLE}: 946684799999 is before the year 2000"),
        (
            STORED_MS + 3_600_000,
            f"{AHEAD}: 1750003600000 is 3,600 s ahead of the clock",
        ),
    ],
)
def test_the_fault_names_the_unit_that_the_time_seems_to_have(timestamp: int, text: str) -> None:
    """Judged by the time at which the event was stored."""
    assert time_fault(timestamp, STORED_MS) == text


def test_the_unit_follows_from_the_stored_time() -> None:
    """A time in seconds that would be in the future is not called one."""
    assert looks_like(STORED_MS // 1_000 + 60, STORED_MS) == "seconds"
    assert looks_like(STORED_MS // 1_000 + 61, STORED_MS) is None


@pytest.mark.parametrize("ahead", [MAX_AHEAD_MS, MAX_AHEAD_MS + 1])
def test_an_event_is_judged_by_its_stored_time_and_by_no_clock(ahead: int) -> None:
    """The same event is valid if it was stored a millisecond later."""
    payload = b'{"price":1.5,"timestamp":%d}' % (STORED_MS + ahead)
    assert decode("percolator.price.SOL", payload, STORED_MS + 1).timestamp == STORED_MS + ahead
    if ahead > MAX_AHEAD_MS:
        with pytest.raises(EventError, match="1750000060001 is 60 s ahead of the clock"):
            decode("percolator.price.SOL", payload, STORED_MS)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (1_750_003_600, "must be in Unix milliseconds: 1750003600 looks like seconds"),
        (0, "must be in Unix milliseconds: 0 is before the year 2000"),
        (
            STORED_MS + MAX_PLAN_MS + 1_000,
            f"{PLANNED}: {STORED_MS + MAX_PLAN_MS + 1_000} is 31,622,401 s ahead of the clock",
        ),
        ("soon", 'must be a whole number of Unix milliseconds, got the string "soon"'),
    ],
)
def test_the_next_funding_may_be_planned_for_up_to_a_year(time: object, text: str) -> None:
    """Any other time is a mistake in the unit, or stands for unknown."""
    form = '{"rate":"1","timestamp":%d,"nextFundingTime":%s}'
    payload = form % (STORED_MS, json.dumps(time))
    with pytest.raises(EventError) as rejected:
        decode("percolator.funding.SOL", payload.encode())
    assert str(rejected.value) == f"nextFundingTime {text}"
    assert rejected.value.reason == "invalid_nextFundingTime"
    latest = STORED_MS + MAX_PLAN_MS
    event = decode("percolator.funding.SOL", (form % (STORED_MS, latest)).encode())
    assert event.values()["nextFundingTime"] == latest


@given(st.integers(0, MAX_TIMESTAMP), st.integers(0, 2 * STORED_MS))
def test_every_timestamp_is_plausible_or_has_a_fault(timestamp: int, stored_ms: int) -> None:
    """Of bounded length, whatever the stored time."""
    payload = b'{"price":1.5,"timestamp":%d}' % timestamp
    if EARLIEST_MS <= timestamp <= stored_ms + MAX_AHEAD_MS:
        assert decode("percolator.price.SOL", payload, stored_ms).timestamp == timestamp
        return
    with pytest.raises(EventError) as rejected:
        decode("percolator.price.SOL", payload, stored_ms)
    assert rejected.value.reason == "invalid_timestamp"
    assert len(str(rejected.value)) < 200
