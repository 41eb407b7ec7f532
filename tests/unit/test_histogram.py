"""Histograms: each value counts in one bucket, and in the sum."""

from percolator.histogram import Histogram


def test_a_value_counts_in_the_first_bucket_whose_bound_it_does_not_exceed() -> None:
    """Bounds are inclusive; larger values count in a last bucket."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5, 99.0):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == 106.0
