"""Counts by key that leave no trace at zero: what counts places and clients."""

Counts = dict[str, int]


def count_up(counts: Counts, key: str) -> None:
    """Add one."""
    counts[key] = counts.get(key, 0) + 1


def count_down(counts: Counts, key: str) -> None:
    """Take one away; KeyError if there is none."""
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
