"""Histograms: each value in one bucket, and their sum."""

from percolator.histogram import Histogram


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    """A bound belongs to its own bucket; what is past the last has one too."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5, 99.0):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == 106.0
