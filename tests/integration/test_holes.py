"""Holes: whatever leaves a stream, a client has each event in order, or a gap that covers it.

Generated streams lose messages in every way that NATS has, while a gateway reads or is away. Other
clients resume, also on a gateway that starts later. If only limits remove messages, no client gets
a gap that covers nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig

from percolator.jetstream.stream import definition
from tests.channels import channel
from tests.client import Client, Message
from tests.gateway import Gateway, event_json, eventually, starting
from tests.integration.faults.proxy import Proxy, proxy
from tests.nats_server import NatsServer

STREAM = "PERCOLATOR"
NAMED = ("trades:A", "trades:B")
WILDCARD = "trades:*"
EXPIRY_SECONDS = 1
"""The shortest life that NATS gives a message."""
MARKER_SECONDS = 1
PATIENCE_SECONDS = 20

few = settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Step:
    """One thing that happens to the stream."""

    act: str
    channel: str = "trades:A"
    number: int = 0
    headers: dict[str, str] = field(default_factory=dict)


channels = st.sampled_from(["trades:A", "trades:A", "trades:B", "price:A", "trades:C"])
numbers = st.integers(0, 40)
publishes = st.builds(Step, st.just("publish"), channels)
rollups = st.builds(
    Step,
    st.just("publish"),
    channels,
    headers=st.sampled_from([{"Nats-Rollup": "sub"}, {"Nats-Rollup": "all"}]),
)
expiring = st.builds(
    Step, st.just("publish"), channels, headers=st.just({"Nats-TTL": f"{EXPIRY_SECONDS}s"})
)
purges = st.builds(Step, st.sampled_from(["purge", "keep", "purge_to"]), channels, numbers)
deletions = st.builds(Step, st.just("delete"), channels, numbers)


def steps(*losses: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    """Some publishes, with a loss now and then."""
    return st.lists(st.one_of(publishes, publishes, publishes, *losses), min_size=3, max_size=12)


@dataclass
class Story:
    """What happens: to a stream of this definition, and around the gateways."""

    config: dict[str, Any]
    before: list[Step]
    """While the gateway reads."""
    away: list[Step]
    """While it is not connected."""
    after: list[Step]
    """When it reads again."""
    backlog: int
    """Of the gateway that starts late."""
    since: list[int]
    """The seqs that clients resume from."""


def events(*names: str) -> list[Step]:
    """Publish an event on each of these channels."""
    return [Step("publish", name) for name in names]


def stories(
    configs: st.SearchStrategy[dict[str, Any]], *losses: st.SearchStrategy[Step]
) -> st.SearchStrategy[Story]:
    """Generate stories in which a stream loses messages in these ways."""
    return st.builds(
        Story,
        configs,
        steps(*losses),
        steps(*losses),
        steps(*losses),
        st.sampled_from([1, 4, 1_000]),
        st.lists(numbers, min_size=1, max_size=2, unique=True),
    )


class Storyteller:
    """Plays a story on a nats-server, and remembers what was published."""

    def __init__(self, client: NatsClient, per_subject: int) -> None:
        self.client = client
        self.per_subject = per_subject
        self.context = client.jetstream()
        self.published: list[tuple[int, str]] = []
        """Seq and channel of each event."""

    async def play(self, script: list[Step]) -> None:
        """Carry out some steps; one that the stream refuses does nothing."""
        for step in script:
            await self.carry_out(step)

    async def carry_out(self, step: Step) -> None:
        """Carry out one step."""
        subject = channel(step.channel).subject
        seq = 1 + step.number % max(len(self.published), 1)
        match step.act:
            case "publish":
                payload = event_json("price" if step.channel.startswith("price") else "trade")
                ack = await self.context.publish(subject, payload, headers=step.headers or None)
                self.published.append((ack.seq, step.channel))
            case "purge":
                await self.ask("PURGE", {"filter": subject})
            case "keep":
                await self.ask("PURGE", {"filter": subject, "keep": 1 + step.number % 3})
            case "purge_to":
                await self.ask("PURGE", {"seq": seq})
            case "delete":
                await self.ask("MSG.DELETE", {"seq": seq})

    async def held(self) -> set[int]:
        """Return the seqs that the stream holds."""
        request = json.dumps({"deleted_details": True}).encode()
        answer = await self.client.request(f"$JS.API.STREAM.INFO.{STREAM}", request)
        state = json.loads(answer.data)["state"]
        every = range(state["first_seq"], state["last_seq"] + 1)
        return set(every).difference(state.get("deleted") or ())

    def disproves(self, gap: Message, held: set[int]) -> bool:
        """True if a gateway could know that a gap covers no event.

        If the event before the gap is gone, it cannot know how many followed. And of two markets
        that have reached the limit, it cannot know which has lost an event.
        """
        if gap["channel"] == WILDCARD:
            return gap["from"] in held and self.per_subject < 0
        own = [seq for seq, name in self.published if name == gap["channel"]]
        return max((seq for seq in own if seq <= gap["from"]), default=0) in held

    async def ask(self, operation: str, request: dict[str, Any]) -> None:
        """Send a request about the stream."""
        subject = f"$JS.API.STREAM.{operation}.{STREAM}"
        await self.client.request(subject, json.dumps(request).encode())


@dataclass
class Reader:
    """A client that follows some channels after a seq, and all that it was sent."""

    name: str
    channels: tuple[str, ...]
    since: int
    client: Client
    epoch: str

    async def messages(self, last: dict[str, int]) -> list[Message]:
        """Return what it was sent, once it has the last event of each of its markets."""
        wanted = {seq for name, seq in last.items() if {name, WILDCARD} & {*self.channels}}
        got = self.client.texts
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.client.until(
                    lambda: wanted <= {json.loads(text).get("seq") for text in got}
                )
        except TimeoutError:
            text = f"{self.name} after {self.since} waits for {wanted}; it has {got}"
            raise AssertionError(text) from None
        return [json.loads(text) for text in got]


def check(reader: Reader, got: list[Message], published: list[tuple[int, str]]) -> list[Message]:
    """Check what a client was sent; return the gaps that cover no event."""
    events = [each for each in got if each["type"] == "trade" and not each.get("snapshot")]
    gaps = [each for each in got if each["type"] == "gap"]
    useless = list(gaps)
    for name in ("trades:A", "trades:B", "trades:C"):
        if not {name, WILDCARD} & {*reader.channels}:
            continue
        seqs = [each["seq"] for each in events if f"trades:{each['slab']}" == name]
        assert seqs == sorted(set(seqs)), (reader, name, seqs)
        true = [seq for seq, channel in published if channel == name]
        own = [gap for gap in gaps if gap["channel"] in (name, WILDCARD)]
        for seq in true:
            if seq <= reader.since or seq in seqs:
                continue
            covering = [gap for gap in own if gap["from"] < seq < gap["to"]]
            assert covering, (
                f"{reader.name} {reader.since}: {seq} of {name} is lost; {seqs} {own} {got}"
            )
            useless = [gap for gap in useless if gap not in covering]
        for event in events:
            if f"trades:{event['slab']}" == name and event["prev"] is not None:
                before = [seq for seq in true if seq < event["seq"]]
                assert event["prev"] == max(before, default=0), (reader, event, true)
    return useless


@asynccontextmanager
async def gateways(line: Proxy, url: str, backlog: int) -> AsyncIterator[Any]:
    """A gateway that has read the stream, and one that starts late, behind the same stream."""
    async with starting(line.url, STREAM, log_capacity=5) as first:
        await first.service.ready()

        @asynccontextmanager
        async def late() -> AsyncIterator[Gateway]:
            async with starting(url, STREAM, log_capacity=5, backlog=backlog) as second:
                await second.service.ready()
                yield second

        yield first, late


async def resumed(gateway: Gateway, name: str, since: int | None, *channels: str) -> Reader:
    """Connect a client that resumes after a seq, or begins now."""
    client, epoch = await gateway.client(), gateway.service.book.epoch
    if since is None:
        await client.subscribed(*channels)
    else:
        client.subscribe(*channels, since=since, epoch=epoch)
    return Reader(name, channels, since or 0, client, epoch)


async def told(story: Story, url: str, port: int, wait: float = 0) -> list[Message]:
    """Play a story; check each client, and return the gaps that cover no event."""
    client = await nats.connect(url)
    try:
        config: StreamConfig = definition(STREAM).evolve(**story.config)
        teller = Storyteller(client, story.config["max_msgs_per_subject"])
        await teller.context.add_stream(config)
        async with proxy(port) as line, gateways(line, url, story.backlog) as (first, late):
            readers = [await resumed(first, "live", None, *NAMED)]
            readers.append(await resumed(first, "live, all", None, WILDCARD))
            await teller.play(story.before)
            line.close()
            await eventually(lambda: not first.service.feed.connected)
            await teller.play(story.away)
            await asyncio.sleep(wait)
            line.open = True
            await teller.play(story.after)
            await teller.carry_out(Step("publish", "trades:A"))
            await asyncio.sleep(wait)
            async with late() as second:
                end = teller.published[-1][0]
                for gateway, name in ((first, "first"), (second, "late")):
                    for since in (0, *(number % end for number in story.since)):
                        readers.append(await resumed(gateway, name, since, *NAMED))
                        readers.append(await resumed(gateway, f"{name}, all", since, WILDCARD))
                last: dict[str, int] = {}
                for name in (*NAMED, "trades:C"):
                    await teller.carry_out(Step("publish", name))
                    last[name] = teller.published[-1][0]
                unfounded = []
                for reader in readers:
                    got = await reader.messages(last)
                    unfounded += check(reader, got, teller.published)
                held = await teller.held()
                for gateway in (first, second):
                    assert not gateway.service.stats.rejected, gateway.service.stats.rejected
    finally:
        await client.jetstream().delete_stream(STREAM)
        await client.close()
    return [gap for gap in unfounded if teller.disproves(gap, held)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A nats-server for all stories that need no wait."""
    with NatsServer(tmp_path_factory.mktemp("holes")) as found:
        yield found


limits = st.fixed_dictionaries(
    {
        "max_msgs_per_subject": st.sampled_from([-1, 2, 4]),
        "max_msgs": st.sampled_from([-1, 8]),
        "deny_delete": st.booleans(),
    }
)


ONE_MARKET_IS_FULL = Story(
    {"max_msgs_per_subject": 3, "deny_delete": False},
    events("trades:B", *["price:A"] * 6, "trades:B"),
    events("price:A"),
    events("trades:A"),
    backlog=1,
    since=[1],
)
"""The other one has lost nothing, and the limit explains what is missing between its events."""


@few
@given(story=stories(limits))
@example(story=ONE_MARKET_IS_FULL)
def test_a_stream_that_only_has_limits_causes_neither_a_loss_nor_a_gap_that_covers_nothing(
    story: Story, server: NatsServer
) -> None:
    """Whether or not single messages may be deleted."""
    assert asyncio.run(told(story, server.url, server.port)) == []


by_hand = {"deny_delete": st.sampled_from([False]), "max_msgs_per_subject": st.just(-1)}
in_order = {
    "deny_delete": st.sampled_from([True]),
    "max_msgs_per_subject": st.sampled_from([-1, 3]),
}
removals = st.one_of(st.fixed_dictionaries(by_hand), st.fixed_dictionaries(in_order)).map(
    lambda config: {**config, "allow_rollup_hdrs": True}
)


def deletion(seq: int, published: int) -> Step:
    """Delete the event with a seq, once `published` events are there."""
    assert seq <= published
    return Step("delete", number=seq - 1)


DELETED_WHILE_AWAY = Story(
    {"max_msgs_per_subject": -1, "deny_delete": False},
    events("trades:A", "trades:B"),
    [*events("trades:A", "trades:A"), deletion(3, published=4)],
    events("trades:B"),
    backlog=1_000,
    since=[1],
)
DELETED_BEFORE_THE_BACKLOG = Story(
    {"max_msgs_per_subject": -1, "deny_delete": False},
    events("trades:A", "trades:A", "trades:B"),
    events("trades:B", "trades:B", "trades:B"),
    [deletion(2, published=6)],
    backlog=1,
    since=[1],
)
PURGED_BEFORE_IT_WAS_KNOWN = Story(
    {"max_msgs_per_subject": -1, "deny_delete": True},
    events("trades:A", "trades:B"),
    [*events("trades:C", "trades:A"), Step("purge", "trades:C")],
    events("trades:A"),
    backlog=1_000,
    since=[1],
)


@few
@given(story=stories(removals, purges, deletions, rollups))
@example(story=DELETED_WHILE_AWAY)
@example(story=DELETED_BEFORE_THE_BACKLOG)
@example(story=PURGED_BEFORE_IT_WAS_KNOWN)
def test_no_event_is_lost_without_a_gap_however_it_left_the_stream(
    story: Story, server: NatsServer
) -> None:
    """By a purge, a rollup, or an operator's hand."""
    asyncio.run(told(story, server.url, server.port))


expiries = st.fixed_dictionaries(
    {
        "allow_msg_ttl": st.sampled_from([True]),
        "allow_rollup_hdrs": st.sampled_from([True]),
        "subject_delete_marker_ttl": st.sampled_from([None, MARKER_SECONDS]),
        "max_msgs_per_subject": st.sampled_from([-1, 3]),
        "deny_delete": st.booleans(),
    }
)


def expiry(name: str) -> Step:
    """Publish an event that expires while the gateway is away."""
    return Step("publish", name, headers={"Nats-TTL": f"{EXPIRY_SECONDS}s"})


EXPIRED_WHILE_AWAY = Story(
    {"max_msgs_per_subject": -1, "allow_msg_ttl": True},
    events("trades:A", "trades:A"),
    [expiry("trades:A"), *events("trades:A")],
    events("trades:B"),
    backlog=1_000,
    since=[1],
)


@settings(few, max_examples=1)
@given(batch=st.lists(stories(expiries, expiring, expiring, purges), min_size=3, max_size=3))
def test_an_event_that_expires_before_it_is_read_leaves_a_gap(
    batch: list[Story], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Several stories at once, each on a server of its own, since an expiry takes a second."""
    batch = [EXPIRED_WHILE_AWAY, *batch]

    async def play() -> None:
        async with AsyncExitStack() as stack:
            servers = [NatsServer(tmp_path_factory.mktemp("expiry")) for _ in batch]
            for each in servers:
                await asyncio.to_thread(each.start)
                stack.callback(each.close)
            wait = EXPIRY_SECONDS + 0.5
            stories = zip(batch, servers, strict=True)
            await asyncio.gather(*(told(story, on.url, on.port, wait) for story, on in stories))

    asyncio.run(play())
