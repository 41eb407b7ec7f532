"""The table of kinds: what each row says of its events."""

import pytest

from percolator.model.kinds import KIND_OF_NAME, KIND_OF_PREFIX, KINDS, Kind, Price, Trade


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_kind_is_found_by_its_name_and_by_its_prefix(kind: Kind) -> None:
    assert KIND_OF_NAME[kind.name] is kind
    assert KIND_OF_PREFIX[kind.prefix] is kind


def test_an_event_returns_the_fields_of_its_kind_without_time_and_market() -> None:
    """A field that the publisher left out is None."""
    trade = Trade(side="long", size="7", price=1.5, timestamp=3, slab="SOL")
    price = Price(price=1.5, indexPrice=1.4, timestamp=3, slab="SOL")
    assert trade.values() == {"side": "long", "size": "7", "price": 1.5}
    known = {name: value for name, value in price.values().items() if value is not None}
    assert known == {"price": 1.5, "indexPrice": 1.4}
    assert price.values()["markPrice"] is None
