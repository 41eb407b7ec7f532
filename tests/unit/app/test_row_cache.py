"""A cache that is bounded in bytes."""

from percolator.app.row_cache import RowCache


def test_what_was_not_used_for_longest_goes_first() -> None:
    """As soon as the values together are larger than the cache."""
    cache: RowCache[str, int] = RowCache(100)
    for name, size in (("a", 40), ("b", 40)):
        cache.put(name, size, size)
    assert cache.get("a") == 40
    cache.put("c", 40, 40)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (40, None, 40)
    assert (len(cache), cache.size) == (2, 80)


def test_a_value_takes_the_place_of_the_one_before() -> None:
    """Its bytes too."""
    cache: RowCache[str, int] = RowCache(100)
    cache.put("a", 1, 90)
    cache.put("a", 2, 50)
    assert (cache.get("a"), cache.size) == (2, 50)
    cache.drop("a")
    cache.drop("a")
    assert (cache.get("a"), cache.size) == (None, 0)


def test_a_value_larger_than_the_cache_is_not_kept() -> None:
    """It would push out everything else; what it replaces goes."""
    cache: RowCache[str, int] = RowCache(100)
    cache.put("a", 1, 10)
    cache.put("b", 1, 10)
    cache.put("b", 2, 101)
    assert (cache.get("a"), cache.get("b"), cache.size) == (1, None, 10)
