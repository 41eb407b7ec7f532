"""Figures of the fault suite: seconds that were measured, printed at the end and never asserted.

How long something takes is the machine's doing as much as ours; a test holds what comes, and in
which order.
"""

from collections import defaultdict

SECONDS: dict[str, list[float]] = defaultdict(list)
"""By what was measured, over all scenes of a run of the tests."""


def summary() -> list[str]:
    """A line for each, with the shortest and the longest."""
    return [
        f"faults: {name}: {min(found):.2f} to {max(found):.2f} s in {len(found)} measured"
        for name, found in SECONDS.items()
    ]
