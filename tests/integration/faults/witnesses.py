"""The witnesses of a scenario: clients of every kind, that all follow the same channels."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.browser.chromium import find
from tests.integration.faults.browser_witness import (
    BrowserWitness,
    ReturningBrowserWitness,
    SlowBrowserWitness,
    watch,
)
from tests.integration.faults.client_witness import ClientWitness, SlowClientWitness
from tests.integration.faults.raw_witness import RawWitness
from tests.integration.faults.witness import Witness


@contextlib.asynccontextmanager
async def witnesses(
    url: str,
    channels: Sequence[str],
    *,
    each: int = 2,
    wildcards: bool = True,
    resting: bool = True,
) -> AsyncIterator[list[Witness]]:
    """Run clients that follow from the stream's start; those in a browser from now on.

    There are `each` that take all messages at once, from each channel by its name. There is no
    browser if none is installed; a test of its own says so.
    """
    pythons: list[RawWitness | ClientWitness] = []
    for _ in range(each):
        pythons += [RawWitness(channels), ClientWitness(channels)]
    browsers = [BrowserWitness(channels, since=None)]
    if wildcards:
        pythons.append(ClientWitness(channels, wildcards=True))
        browsers.append(BrowserWitness(channels, wildcards=True, since=None))
    if resting:
        pythons.append(SlowClientWitness(channels))
        browsers.append(SlowBrowserWitness(channels, since=None))
        browsers.append(ReturningBrowserWitness(channels, since=None))
    if find() is None:
        browsers.clear()
    running = [witness.run(url) for witness in pythons]
    if browsers:
        running.append(watch(url, browsers))
    tasks = [asyncio.create_task(run) for run in running]
    try:
        yield [*pythons, *browsers]
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()
            raise AssertionError("a client gave up")
