"""The body of `/markets`: right after each change, and made again only as far as necessary."""

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.app import markets
from percolator.app.markets import MAX_VIEWS, Markets
from percolator.app.views import Data, entry_view, market_view
from percolator.auth.tokens import Grant
from percolator.fanout.book import Book
from percolator.fanout.log import Entry
from tests.channels import KIND_NAMES, channel, channel_of
from tests.unit.fanout.harness import HubHarness
from tests.unit.fanout.reference import make_event

EVERYTHING = Grant("", ("*",), inf)


def token(*channels: str) -> Grant:
    """Return what a token for some channels grants."""
    return Grant("", channels, inf)


def expected(book: Book, grant: Grant) -> dict[str, Any]:
    """Return the page as its definition has it: each market by itself."""
    slabs = sorted({slab for _, slab in book.logs} - book.retired)
    shown = {slab: market_view(book, slab, grant.covers) for slab in slabs}
    found = {slab: market for slab, market in shown.items() if market is not None}
    return {"epoch": book.epoch, "seq": book.seq, "markets": found}


def in_order(page: object) -> str:
    """Return JSON that also shows the order of the keys."""
    return json.dumps(page)


@pytest.fixture
def harness() -> HubHarness:
    """Return a hub with two markets, one of them followed."""
    harness = HubHarness()
    for seq, kind in enumerate(("trade", "price", "funding"), start=1):
        harness.publish(seq, kind=kind)
    harness.publish(4, slab="BTC")
    harness.client("price:SOL", "trades:NEW")
    return harness


def test_the_body_shows_the_newest_of_everything(harness: HubHarness) -> None:
    """Markets in alphabetical order, and the kinds in the order of their table."""
    body = Markets(harness.book).body(EVERYTHING)
    assert body.endswith(b"}\n")
    assert in_order(json.loads(body)) == in_order(expected(harness.book, EVERYTHING))
    assert [*json.loads(body)["markets"]] == ["BTC", "SOL"]


def test_a_gateway_without_events_shows_no_market() -> None:
    """The page is valid JSON all the same."""
    harness = HubHarness()
    assert json.loads(Markets(harness.book).body(EVERYTHING)) == {
        "epoch": "e",
        "seq": 0,
        "markets": {},
    }


def test_the_body_is_made_once_per_seq(harness: HubHarness) -> None:
    """All clients with the same rights share it."""
    page = Markets(harness.book)
    for grant in (EVERYTHING, token("price:*")):
        first = page.body(grant)
        harness.client("trades:OTHER")
        assert page.body(token(*grant.channels)) is first
    harness.publish(5)
    assert page.body(EVERYTHING) is not first


def test_only_the_channels_that_have_changed_are_encoded_again(
    harness: HubHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many markets there are."""
    page = Markets(harness.book)
    page.body(EVERYTHING)
    encoded: list[int] = []

    def counting(entry: Entry) -> Data:
        encoded.append(entry.seq)
        return entry_view(entry)

    monkeypatch.setattr(markets, "entry_view", counting)
    harness.publish(5, slab="BTC")
    harness.publish(6, slab="BTC", kind="price")
    harness.publish(7, slab="BTC")
    for grant in (EVERYTHING, token("*:BTC")):
        assert json.loads(page.body(grant)) == expected(harness.book, grant)
    assert sorted(encoded) == [6, 7]


@pytest.mark.parametrize(
    "channels",
    [["price:SOL"], ["price:*"], ["*:BTC", "price:SOL"], ["trades:*", "price:SOL"], ["*:*"], []],
)
def test_a_token_shows_only_the_channels_that_it_covers(
    harness: HubHarness, channels: list[str]
) -> None:
    """A market without any is left out; also after more events, and beside other tokens."""
    page = Markets(harness.book)
    grant = token(*channels)
    for seq, (kind, slab) in enumerate([("price", "SOL"), ("price", "ETH"), ("trade", "SOL")], 5):
        assert json.loads(page.body(grant)) == expected(harness.book, grant)
        assert json.loads(page.body(EVERYTHING)) == expected(harness.book, EVERYTHING)
        harness.publish(seq, kind=kind, slab=slab)
    assert in_order(json.loads(page.body(grant))) == in_order(expected(harness.book, grant))


def test_the_bodies_of_few_different_tokens_are_kept(harness: HubHarness) -> None:
    """Those that were asked for last."""
    page = Markets(harness.book)
    for number in range(3 * MAX_VIEWS):
        page.body(token(f"price:{number}"))
        page.body(EVERYTHING)
    assert len(page._views) == MAX_VIEWS
    assert EVERYTHING.channels in page._views


def test_a_value_from_before_the_backlog_is_shown_at_once(harness: HubHarness) -> None:
    """It changes the page without a new seq."""
    page = Markets(harness.book)
    page.body(EVERYTHING)
    harness.book.seed(1, channel("price:OLD"), make_event("price", "OLD", 1), 1)
    assert json.loads(page.body(EVERYTHING)) == expected(harness.book, EVERYTHING)


def test_a_retired_market_is_left_out_until_it_is_active_again(harness: HubHarness) -> None:
    """By itself it shows what it is, to those who may read that."""
    page = Markets(harness.book)
    for seq, status, shown in ((10, "retired", ["BTC"]), (11, "active", ["BTC", "SOL"])):
        page.body(EVERYTHING)
        harness.describe(seq, status)
        assert [*json.loads(page.body(EVERYTHING))["markets"]] == shown
        if status == "retired":
            alone = market_view(harness.book, "SOL", EVERYTHING.covers)
            assert alone is not None
            assert (list(alone), alone["market"]["status"]) == (["slab", "market"], "retired")
            assert market_view(harness.book, "SOL", token("price:SOL").covers) is None


def test_a_stream_that_is_replaced_takes_its_markets_along(harness: HubHarness) -> None:
    """Also those that clients follow, until they have events again."""
    page = Markets(harness.book)
    page.body(EVERYTHING)
    harness.book.begin("f", 0, first_seq=1, complete=True)
    assert json.loads(page.body(EVERYTHING)) == {"epoch": "f", "seq": 0, "markets": {}}
    harness.publish(1, kind="price")
    assert json.loads(page.body(EVERYTHING)) == expected(harness.book, EVERYTHING)


steps = st.lists(
    st.tuples(
        st.sampled_from([*KIND_NAMES, "retired", "active", "drop", "ask"]), st.sampled_from("ABC")
    ),
    max_size=40,
)


@given(steps)
def test_the_body_agrees_with_its_definition_after_any_changes(
    changes: list[tuple[str, str]],
) -> None:
    """Events, markets that retire and come back, channels that are dropped, and requests."""
    harness = HubHarness()
    page = Markets(harness.book)
    grants = (EVERYTHING, token("*:A", "price:B"))
    for seq, (what, slab) in enumerate(changes, start=1):
        if what == "ask":
            for grant in grants:
                assert json.loads(page.body(grant)) == expected(harness.book, grant)
        elif what == "drop":
            harness.book.logs.pop(channel_of("price", slab), None)
            harness.book.skip(seq)
        elif what in ("retired", "active"):
            harness.describe(seq, what, slab)
        else:
            harness.publish(seq, kind=what, slab=slab)
    for grant in grants:
        assert json.loads(page.body(grant)) == expected(harness.book, grant)
