"""Counts by key; a key whose count is zero is removed."""

Counts = dict[str, int]


def count_up(counts: Counts, key: str) -> None:
    """Add one."""
    counts[key] = counts.get(key, 0) + 1


def count_down(counts: Counts, key: str) -> None:
    """Subtract one. Raises KeyError if the count is zero."""
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
