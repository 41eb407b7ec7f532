"""The account: it counts exactly what was lost, duplicated or reordered."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percolator.model import messages
from percolator.model.kinds import Funding
from percolator_cli.loadtest.account import Account, Accountant, expect
from percolator_cli.loadtest.reference import Reference
from tests.channels import channel_of
from tests.cli.loadtest.stream import Client, Market, reference

PING = bytes([0x89, 2]) + b"hi"


def settle(
    market: Market, shared: Reference, client: Client, *, to_the_end: bool = True
) -> Account:
    """Return one client's account."""
    accountant = Accountant(expect(market.published, shared), shared)
    return accountant.settle(client.reader, to_the_end=to_the_end)


def trades(market: Market, count: int) -> list[bytes]:
    """Publish trades and return their frames."""
    return [market.event("trade") for _ in range(count)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("chunk", [None, 1, 7, 100, 1_000])
@pytest.mark.parametrize(
    ("received", "account"),
    [
        ([0, 1, 2, 3, 4, 5], Account()),
        ([0, 1, 3, 4, 5], Account(lost=1)),
        ([1, 2, 3, 4, 5], Account(lost=1)),
        ([0, 1, 2, 3, 4], Account(lost=1)),
        ([], Account(lost=6)),
        ([0, 0, 1, 2, 3, 4, 5], Account(duplicated=1)),
        ([0, 1, 2, 3, 4, 5, 5, 5], Account(duplicated=2)),
        ([0, 1, 2, 3, 4, 5, 0], Account(duplicated=1)),
        ([1, 0, 2, 3, 4, 5], Account(out_of_order=1)),
        ([0, 1, 2, 3, 5, 4], Account(out_of_order=1)),
        ([5, 4, 3, 2, 1, 0], Account(out_of_order=5)),
        ([0, 2, 1, 1, 4, 5], Account(lost=1, duplicated=1, out_of_order=1)),
    ],
)
def test_a_clients_account_counts_what_was_done_to_its_stream(
    received: list[int], account: Account, chunk: int | None, order: tuple[int, int]
) -> None:
    """It may read before or after an unharmed client, and in any chunks."""
    market, shared = Market(), reference()
    whole, harmed = Client(shared), Client(shared)
    frames = trades(market, 6)
    reads = [(whole, frames), (harmed, [frames[number] for number in received])]
    for turn in order:
        client, given = reads[turn]
        client.feed(*given, chunk=chunk)
    assert settle(market, shared, whole) == Account()
    assert settle(market, shared, harmed) == account


def test_an_event_that_no_client_got_is_lost_for_every_client() -> None:
    """The account compares with what was published, not with what others received."""
    market, shared = Market(), reference()
    frames = trades(market, 5)
    clients = [Client(shared), Client(shared)]
    for client in clients:
        client.feed(*frames[:2], *frames[3:])
        assert settle(market, shared, client) == Account(lost=1)


def test_a_lost_event_of_another_publisher_is_known_from_the_next_event() -> None:
    """The next event's `prev` is its seq."""
    market, shared = Market(), reference()
    frames = trades(market, 3)
    client = Client(shared)
    client.feed(frames[0], frames[2])
    market.seqs["trade"].clear()
    assert settle(market, shared, client) == Account(lost=1)


def test_the_account_counts_a_wrong_prev() -> None:
    """Each `prev` is compared with what was published."""
    market, shared = Market(), reference()
    first, second = trades(market, 2)
    market.seqs["trade"].append(market.seq + 1)
    market.seq += 1
    third = market.event("trade").replace(b'"prev":3', b'"prev":2')
    client = Client(shared)
    client.feed(first, second, third)
    assert settle(market, shared, client) == Account(lost=1, wrong_prev=1)


def test_the_account_counts_a_message_whose_bytes_differ_from_other_clients() -> None:
    """Its seq is right."""
    market, shared = Market(), reference()
    frames = trades(market, 3)
    Client(shared).feed(*frames)
    client = Client(shared)
    client.feed(frames[0], frames[1].replace(b"long", b"shrt"), frames[2])
    assert settle(market, shared, client) == Account(altered=1)


def test_missing_prices_are_conflated_unless_the_last_one_is_missing() -> None:
    """Duplicated and reordered prices are still counted."""
    market, shared = Market(), reference()
    prices = [market.event("price") for _ in range(10)]
    one, other, third = Client(shared), Client(shared), Client(shared)
    one.feed(prices[0], prices[4], prices[9])
    other.feed(prices[4], prices[4], prices[2], prices[9])
    third.feed(prices[0], prices[8])
    assert settle(market, shared, one) == Account(conflated=7)
    assert settle(market, shared, other) == Account(conflated=7, duplicated=1, out_of_order=1)
    assert settle(market, shared, third) == Account(conflated=7, lost=1)


def test_the_account_counts_lost_events_that_a_gap_announced() -> None:
    """Lost events outside the gap are lost, but not announced."""
    market, shared = Market(), reference()
    frames = trades(market, 6)
    client = Client(shared)
    gap = messages.gap(channel_of("trade", market.slab), 1, 4)
    client.feed(frames[0], gap, *frames[3:5])
    assert settle(market, shared, client) == Account(lost=3, announced=2, gaps=1)


def test_a_client_that_left_early_lost_nothing_after_its_last_message() -> None:
    """What it missed before is counted."""
    market, shared = Market(), reference()
    frames = trades(market, 6)
    client = Client(shared)
    client.feed(frames[0], frames[2])
    assert settle(market, shared, client, to_the_end=False) == Account(lost=1)


def test_a_client_does_not_lose_events_from_before_its_since() -> None:
    """This happens on markets that have earlier events."""
    market, shared = Market(), reference()
    frames = trades(market, 6)
    Client(shared).feed(*frames)
    client = Client(shared)
    client.reader.since = 3
    client.feed(*frames[3:])
    assert settle(market, shared, client) == Account()


def test_snapshots_and_control_frames_do_not_count_as_events() -> None:
    """They may come between any two events."""
    market, shared = Market(), reference()
    first, second = trades(market, 2)
    funding = Funding(rate="0.1", timestamp=1, slab=market.slab)
    clients = [Client(shared), Client(shared)]
    for client in clients:
        snapshot = messages.event_message(funding, 99, None, snapshot=True)
        client.feed(PING, snapshot, first, PING, second, chunk=11)
        assert client.controls == [(0x89, b"hi"), (0x89, b"hi")]
        assert settle(market, shared, client) == Account()
    assert shared.count == 2


kinds: st.SearchStrategy[str] = st.sampled_from(["trade", "trade", "price", "funding"])


@st.composite
def harm(draw: st.DrawFn, count: int) -> list[int]:
    """Return the indexes of the messages that a client gets, in order of arrival."""
    places = list(range(count))
    for _ in range(draw(st.integers(0, 4))):
        if not places:
            break
        at = draw(st.integers(0, len(places) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "move"])):
            case "drop":
                del places[at]
            case "double":
                places.insert(draw(st.integers(at, len(places))), places[at])
            case "swap":
                places[at : at + 2] = reversed(places[at : at + 2])
            case "move":
                places.append(places.pop(at))
    return places


def naive(market: Market, received: list[tuple[str, int]]) -> Account:
    """Settle an account in the simplest way."""
    account = Account()
    for kind, published in market.seqs.items():
        seqs = [seq for named, seq in received if named == kind]
        missing = [seq for seq in published if seq not in seqs]
        if kind == "price":
            last = missing[-1:] if missing[-1:] == published[-1:] else []
            account.conflated += len(missing) - len(last)
            missing = last
        account.lost += len(missing)
        account.duplicated += len(seqs) - len(set(seqs))
        firsts = [seq for at, seq in enumerate(seqs) if seq not in seqs[:at]]
        account.out_of_order += sum(
            any(earlier > seq for earlier in seqs[: seqs.index(seq)]) for seq in firsts
        )
    return account


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_accounts_of_any_clients_equal_a_naive_count(data: st.DataObject) -> None:
    """Damage, chunks and the order of reading are random."""
    market, shared = Market(), reference()
    events: list[str] = data.draw(st.lists(kinds, min_size=1, max_size=20))
    frames = [market.event(kind) for kind in events]
    crowd = [(Client(shared), data.draw(harm(len(frames)))) for _ in range(3)]
    reads = []
    for client, places in crowd:
        stream = b"".join(
            part
            for place in places
            for part in ([PING] if data.draw(st.booleans()) else []) + [frames[place]]
        )
        cuts = sorted(
            {0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=6))}
        )
        reads.append([(client, stream[a:b]) for a, b in itertools.pairwise(cuts)])
    while any(reads):
        turn = data.draw(st.sampled_from([number for number, left in enumerate(reads) if left]))
        client, piece = reads[turn].pop(0)
        client.feed(piece)
    accountant = Accountant(expect(market.published, shared), shared)
    for client, places in crowd:
        received = [(events[place], place + 1) for place in places]
        assert accountant.settle(client.reader, to_the_end=True) == naive(market, received)
