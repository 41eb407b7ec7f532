"""The garbage collector in a gateway's process: full runs are rare, and skip what was there."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from percolator.app import garbage
from tests.gateway import eventually


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Restore the collector of this process."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_full_runs_come_by_the_clock_and_skip_what_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many objects are made and kept meanwhile."""
    monkeypatch.setattr(garbage, "COLLECT_SECONDS", 0.01)
    runs: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            runs.append(info["generation"])

    gc.callbacks.append(count)
    collecting = asyncio.create_task(garbage.collect_rarely())
    try:
        await asyncio.sleep(0)
        frozen = gc.get_freeze_count()
        runs.clear()
        kept = [[number] for number in range(500_000)]
        assert 0 in runs
        assert 2 not in runs
        await eventually(lambda: 2 in runs)
    finally:
        collecting.cancel()
        gc.callbacks.remove(count)
    assert frozen > 0
    assert kept
