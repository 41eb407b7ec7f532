"""Fair slots: in turn by key, and each free slot is passed on."""

import asyncio

import pytest

from percolator.app.fair_slots import FairSlots


class Workers:
    """Workers that hold a slot until the test ends them."""

    def __init__(self, slots: int) -> None:
        self.slots = FairSlots(slots)
        self.working: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, *names: str) -> None:
        """Start workers; the first letter of a name is its key."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._work(name))
            await asyncio.sleep(0)

    async def _work(self, name: str) -> None:
        async with self.slots.slot(name[0]):
            self.working.append(name)
            await self._ends[name].wait()
            self.working.remove(name)

    async def end(self, name: str) -> None:
        """End a worker that works."""
        self._ends[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)

    async def cancel(self, *names: str) -> None:
        """Cancel workers that wait."""
        for name in names:
            self._tasks[name].cancel()
        await asyncio.gather(*(self._tasks[name] for name in names), return_exceptions=True)


async def test_slots_go_to_the_keys_in_turn() -> None:
    """And within a key to the one that has waited longest."""
    workers = Workers(1)
    await workers.start("a1", "a2", "a3", "b1", "c1", "b2")
    order = []
    while workers.working:
        (name,) = workers.working
        order.append(name)
        await workers.end(name)
    assert order == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_no_more_work_at_once_than_there_are_slots() -> None:
    """A free slot is taken at once."""
    workers = Workers(2)
    await workers.start("a1", "b1", "c1")
    assert workers.working == ["a1", "b1"]
    await workers.end("b1")
    assert workers.working == ["a1", "c1"]
    await workers.end("a1")
    await workers.start("d1")
    assert workers.working == ["c1", "d1"]


async def test_one_that_stops_waiting_is_passed_over() -> None:
    """Its turn goes to the next."""
    workers = Workers(1)
    await workers.start("a1", "a2", "b1")
    await workers.cancel("a2")
    await workers.end("a1")
    assert workers.working == ["b1"]


async def test_a_slot_is_not_lost_if_its_holder_was_cancelled_in_the_same_moment() -> None:
    """It goes to the next one that waits, or is free again."""
    workers = Workers(1)
    await workers.start("a1", "a2")
    workers._ends["a1"].set()
    await asyncio.sleep(0)  # a1 has ended: the slot is on its way to a2
    await workers.cancel("a2")
    await workers.start("a3")
    assert workers.working == ["a3"]


async def test_a_slot_is_free_again_after_an_error() -> None:
    """The error is the caller's."""
    slots = FairSlots(1)
    with pytest.raises(ValueError, match="mine"):
        async with slots.slot("a"):
            raise ValueError("mine")
    async with slots.slot("a"):
        pass
