"""The ledger of a benchmark's client: it finds each kind of loss, however the bytes arrive."""

import pytest

from percolator.model import messages
from percolator.model.kinds import Trade
from tests.benchmarks.ledger import Ledger
from tests.channels import channel


def trade(seq: int, prev: int | None, slab: str = "SOL") -> bytes:
    event = Trade(side="long", size="1000000", price=1.5, timestamp=1_000, slab=slab)
    return messages.event_message(event, seq, prev)


def gap(after: int, before: int) -> bytes:
    return messages.gap(channel("trades:SOL"), after, before)


def ledger(*messages: bytes, piece: int = 1 << 20, sampled: bool = True) -> Ledger:
    """A ledger that has recorded these messages, in pieces of `piece` bytes, at 1,250 ms."""
    record = Ledger(sampled=sampled)
    data = b"".join(messages)
    for start in range(0, len(data), piece):
        record.record(data[start : start + piece], 1_250.0)
    return record


@pytest.mark.parametrize("piece", [1, 7, 125, 127, 1 << 20])
@pytest.mark.parametrize("slab", ["SOL", "SOLANA", "a" * 64])
def test_every_event_is_counted_once_however_the_bytes_are_split(piece: int, slab: str) -> None:
    """Even if the length byte in a frame's head looks like a brace."""
    record = ledger(*(trade(seq, seq - 1, slab) for seq in range(1, 40)), piece=piece)
    assert (record.events, record.lossless, record.faults) == (39, 39, 0)
    assert list(record.latencies) == [250.0] * 39


@pytest.mark.parametrize(
    "messages",
    [
        (trade(5, 4), trade(7, 6)),
        (trade(5, 4), trade(5, 4)),
        (trade(5, 4), trade(4, 3)),
        (trade(5, 4), trade(6, None)),
        (gap(3, 9), trade(8, 7)),
    ],
)
def test_lost_duplicated_and_reordered_events_are_faults(messages: tuple[bytes, ...]) -> None:
    """An event must name the one before it, or follow a gap that covers the rest."""
    assert ledger(*messages).faults == 1


def test_a_gap_accounts_for_the_events_that_it_names() -> None:
    """Its ends are not part of it, and the chain continues after it."""
    record = ledger(trade(5, 4), gap(5, 9), trade(9, 8), trade(10, 9))
    assert (record.lossless, record.missing, record.accounted, record.faults) == (3, 3, 6, 0)


def test_a_client_that_is_not_sampled_counts_gaps_too() -> None:
    """But it keeps neither chain nor latencies."""
    record = ledger(trade(5, 4), gap(5, 9), trade(11, 10), sampled=False, piece=11)
    assert (record.accounted, record.gaps, record.faults, len(record.latencies)) == (5, 1, 0, 0)


def test_each_channel_has_a_chain_of_its_own() -> None:
    """Two markets do not break each other's chain."""
    record = ledger(trade(5, 4), trade(6, 2, "BTC"), trade(7, 5), trade(8, 6, "BTC"))
    assert record.faults == 0
