"""Pace: work that many ask for is done at one rate."""

import asyncio

import pytest

from percolator.app import pace
from percolator.app.pace import Pace


async def test_what_exceeds_the_rate_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is paid for; all who charge share one budget."""
    now = 100.0
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))

    monkeypatch.setattr(pace, "asyncio", type("Fake", (), {"sleep": staticmethod(sleep)}))
    paced = Pace(10, 20, lambda: now)
    await paced.charge(20)
    assert waits == []
    await paced.charge(5)
    await paced.charge(10)
    assert waits == [0.5, 1.5]
    now += 60
    await asyncio.gather(paced.charge(20))
    assert waits == [0.5, 1.5]
