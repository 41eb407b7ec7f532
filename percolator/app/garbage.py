"""Garbage: when Python's collector makes its full runs in a gateway's process.

A full run looks at every object: 30 ms with 1,000 clients, for which all of them wait. A gateway
frees its connections by counting references, so a full run finds next to nothing, and one per
minute is enough.
"""

import asyncio
import gc

COLLECT_SECONDS = 60.0
"""Seconds between two full runs."""


async def collect_rarely() -> None:
    """Leave what is here now out of all further runs; make a full run per minute, until cancelled.

    The short runs, which look at new objects only, go on as before.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        gc.collect()
