"""The state of price channels from a real stream, however far back it must be read."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from percolator.app.price_history import PriceHistory
from percolator.fanout.price_fold import PriceRule
from percolator.jetstream import history, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect
from percolator.jetstream.direct import Batch, Stored, direct_get, direct_get_all
from percolator.jetstream.last_per_subject import States
from percolator.model import events
from percolator.model.kinds import PRICE
from tests.channels import subject_of

RULE = PriceRule()
REFUSES = PriceRule(10, refuse_jumps=True)


@pytest.fixture
async def client(nats_url: str, stream_name: str) -> AsyncIterator[NatsClient]:
    """A connection to a NATS with the test's stream."""
    connected = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    await stream.ensure(connected, stream_name)
    yield connected
    await connected.close()


class Reader:
    """Publishes prices to a stream, and reads the state back."""

    def __init__(self, client: NatsClient, name: str) -> None:
        self.client = client
        self.name = name
        self.asked: list[dict[str, object]] = []
        """The requests for the history of single subjects."""

    async def publish(self, *, lag: int = 0, price: float = 1.5, slab: str = "SOL") -> int:
        """Publish a price whose timestamp is some milliseconds old; return its seq."""
        fields = {"price": price, "timestamp": time.time_ns() // 1_000_000 - lag}
        return await self.send(json.dumps(fields).encode(), slab)

    async def send(self, payload: bytes, slab: str = "SOL") -> int:
        """Publish any payload on a market's price subject; return its seq."""
        subject = subject_of("price", slab)
        return (await self.client.jetstream().publish(subject, payload)).seq

    async def states(
        self, up_to: int, rule: PriceRule = RULE, *, head: int | None = None
    ) -> dict[str, int]:
        """Return the seq of each market's state after a seq, if the reader goes on to `head`."""
        histories = {PRICE: PriceHistory(rule, events.decode)}
        reading = States(self.client, self.name, events.decode, histories)
        found = await reading.after(up_to, head or up_to)
        return {event.subject.rpartition(".")[2]: event.seq for event in found}

    async def all(self) -> list[Stored]:
        """Return everything that the stream holds."""
        request: dict[str, object] = {"seq": 1, "next_by_subj": ">", "batch": 1_000}
        return [event async for event in direct_get_all(self.client, self.name, request)]

    async def get(self, client: NatsClient, stream: str, request: dict[str, object]) -> Batch:
        """Read from the stream, and record the request."""
        self.asked.append(request)
        return await direct_get(client, stream, request)


@pytest.fixture
def reader(client: NatsClient, stream_name: str, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return a reader of the test's stream."""
    made = Reader(client, stream_name)
    monkeypatch.setattr(history, "direct_get", made.get)
    return made


def folded(stored: Sequence[Stored], rule: PriceRule) -> dict[str, int]:
    """Return the seq of each market's state, from all events."""
    slabs = {event.subject.rpartition(".")[2] for event in stored}
    by_slab = {
        slab: [event for event in stored if event.subject.endswith(f".{slab}")] for slab in slabs
    }
    states = {slab: PriceHistory(rule, events.decode).fold(own) for slab, own in by_slab.items()}
    return {slab: event.seq for slab, event in states.items() if event is not None}


async def test_a_price_that_is_outdated_is_not_the_state(reader: Reader) -> None:
    """The newer one before it is."""
    await reader.publish(lag=500)
    state = await reader.publish(lag=10)
    end = await reader.publish(lag=5_000)
    assert await reader.states(end) == {"SOL": state}


async def test_a_price_without_delay_needs_no_look_at_what_came_before(reader: Reader) -> None:
    """So a start with many markets asks little."""
    await reader.publish()
    end = await reader.publish(lag=-1_000)
    assert await reader.states(end) == {"SOL": end}
    assert reader.asked == []


async def test_the_only_price_of_a_market_needs_no_look(reader: Reader) -> None:
    """Whatever its timestamp says."""
    only = await reader.publish(lag=10**9)
    assert await reader.states(only) == {"SOL": only}
    assert reader.asked == []


async def test_a_short_delay_costs_one_request_per_market(reader: Reader) -> None:
    """If the price before it was stored before its own time, that is the state."""
    for slab in ("SOL", "BTC"):
        await reader.publish(lag=20, slab=slab)
    await asyncio.sleep(0.025)  # real time decides here: the stream's own clock
    for slab in ("SOL", "BTC"):
        end = await reader.publish(lag=20, slab=slab)
    assert await reader.states(end) == {"SOL": end - 1, "BTC": end}
    assert len(reader.asked) == 2


async def test_a_delay_that_is_longer_than_the_time_between_prices_costs_two_requests(
    reader: Reader,
) -> None:
    """The second is from the price's own time on."""
    await reader.publish(lag=20_000)
    state = await reader.publish(lag=10_000)
    end = await reader.publish(lag=20_000)
    assert await reader.states(end) == {"SOL": state}
    assert len(reader.asked) >= 2


async def test_a_market_whose_state_a_later_price_replaces_is_not_looked_at(
    reader: Reader,
) -> None:
    """A gateway reads on to there before it serves anyone."""
    await reader.publish(lag=10_000)
    middle = await reader.publish(lag=20_000)
    head = await reader.publish()
    assert await reader.states(middle, head=head) == {"SOL": middle}
    assert reader.asked == []
    assert await reader.states(middle, REFUSES, head=head) == {"SOL": middle - 1}


async def test_prices_after_the_seq_do_not_count(reader: Reader) -> None:
    """They did not exist then."""
    await reader.publish(lag=30)
    end = await reader.publish(lag=20)
    await reader.publish(lag=10)
    assert await reader.states(end) == {"SOL": end}


async def test_invalid_prices_hide_no_state(reader: Reader) -> None:
    """Neither as the newest nor among others; a market that has only invalid ones has no state."""
    state = await reader.publish(lag=10)
    for slab in ("SOL", "JUNK", "JUNK", "ONE"):
        end = await reader.send(b'{"price":-1,"timestamp":7}', slab)
    assert await reader.states(end) == {"SOL": state}


async def test_prices_with_ancient_timestamps_are_read_from_the_first(reader: Reader) -> None:
    """Some other one may be newer."""
    state = await reader.publish(lag=10**8)
    for _ in range(10):
        end = await reader.publish(lag=2 * 10**8)
    assert await reader.states(end) == {"SOL": state}


async def test_a_market_whose_clock_is_wrong_delays_a_start_only_so_much(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a number of events in all, what was read decides."""
    monkeypatch.setattr(history, "MAX_EVENTS", 0)
    state = await reader.publish(lag=10**8)
    end = await reader.publish(lag=2 * 10**8)
    assert await reader.states(end) == {"SOL": state}  # both lie within the first look
    assert len([request for request in reader.asked if "start_time" in request]) == 1


async def test_where_jumps_are_refused_the_first_of_two_that_refuse_each_other_stays(
    reader: Reader,
) -> None:
    """Every start finds it, as far back as it may be."""
    for price in (150.0, 150e6) * 3:
        end = await reader.publish(price=price)
    assert await reader.states(end, REFUSES) == {"SOL": end - 1}
    assert await reader.states(end) == {"SOL": end}


@pytest.mark.parametrize("rule", [RULE, REFUSES], ids=["any", "no jumps"])
async def test_a_start_at_any_event_finds_the_state_of_the_whole_stream(
    reader: Reader, rule: PriceRule
) -> None:
    """With outdated prices, jumps, clocks that are ahead, and events that are not valid."""
    dice = random.Random(7)  # noqa: S311 - the same every time
    for number in range(150):
        slab = dice.choice(["A", "B", "C"])
        lag = dice.choice([-1_000, 0, 1, 5, 20, 100, 10_000, 10**6])
        price = dice.choice([100, 101, 102, 100e6])
        if number % 10 == 9:
            await reader.send(b"{}", slab)
        else:
            await reader.publish(lag=lag, price=price, slab=slab)
        await asyncio.sleep(0.002)
    stored = await reader.all()
    for up_to in range(1, len(stored) + 1):
        assert await reader.states(up_to, rule) == folded(stored[:up_to], rule), up_to
    assert reader.asked
