"""The publisher: every event is acknowledged, in order, and stored once if it has an id."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import in_flight, publisher, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from tests.client import PATIENCE
from tests.gateway import eventually
from tests.nats_server import NatsServer

STREAM = "PERCOLATOR"
SUBJECT = "percolator.price.SOL"
LIMITED = """
authorization {
  users: [
    { user: admin, password: a }
    {
      user: maker, password: m
      permissions { publish: "percolator.price.>", subscribe: "_INBOX.>" }
    }
  ]
}
"""
"""A configuration with a user who may only publish prices."""


@pytest.fixture
async def client(nats_url: str, stream_name: str) -> AsyncIterator[Client]:
    """A connection to a NATS with the test's stream."""
    connected = await nats.connect(nats_url)
    await stream.ensure(connected, stream_name)
    yield connected
    await connected.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only a fraction of a second."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.1)
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.02)


async def test_publish_returns_the_seq_of_the_event(client: Client, stream_name: str) -> None:
    """The stream counts from 1."""
    events = Publisher(client, stream_name)
    assert [await events.publish(SUBJECT, b"{}") for _ in range(3)] == [1, 2, 3]


async def test_events_published_at_once_keep_their_order(client: Client, stream_name: str) -> None:
    """With acks in flight; the payloads are unchanged."""
    events = Publisher(client, stream_name)
    payloads = [b"%d" % number for number in range(2_000)]
    seqs = await asyncio.gather(*(events.publish(SUBJECT, payload) for payload in payloads))
    assert seqs == list(range(1, 2_001))
    last = await client.jetstream().get_msg(stream_name, 2_000)
    assert last.data == payloads[-1]


async def test_the_stream_stores_an_event_with_an_id_once(client: Client, stream_name: str) -> None:
    """A second event with the same id gets the seq of the first."""
    events = Publisher(client, stream_name)
    first = await events.publish(SUBJECT, b"{}", message_id="a")
    assert await events.publish(SUBJECT, b"{}", message_id="a") == first
    assert await events.publish(SUBJECT, b"{}", message_id="b") == first + 1


@pytest.mark.usefixtures("quick")
async def test_publish_says_what_to_do_when_the_stream_is_missing(nats_url: str) -> None:
    """A gateway creates the stream."""
    client = await nats.connect(nats_url)
    with pytest.raises(NatsUnfitError, match="no stream accepts percolator"):
        await Publisher(client, "PERCOLATOR").publish(SUBJECT, b"{}")
    await client.close()


async def test_publish_fails_when_another_stream_has_the_subject(client: Client) -> None:
    """No gateway would read the event there."""
    with pytest.raises(
        NatsUnfitError, match=r"JetStream refuses the event \(.+\): check the stream ANOTHER"
    ):
        await Publisher(client, "ANOTHER").publish(SUBJECT, b"{}")


@pytest.mark.parametrize("message_id", [None, "a"])
async def test_publish_fails_at_once_when_the_event_is_too_large(
    client: Client, stream_name: str, message_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry would not make it smaller, and here it would take an hour."""
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 3_600)
    events = Publisher(client, stream_name)
    too_large = b"x" * (client.max_payload + 1)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(
            NatsUnfitError,
            match="the event has 1,048,577 bytes, but NATS accepts at most 1,048,576: ",
        ):
            await events.publish(SUBJECT, too_large, message_id)


@pytest.mark.usefixtures("quick")
async def test_an_event_without_an_id_is_tried_once(nats_process: NatsServer) -> None:
    """A second attempt could store it twice."""
    client = await nats.connect(nats_process.url)
    await stream.ensure(client, STREAM)
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="NATS does not acknowledge the event"):
            await Publisher(client, STREAM).publish(SUBJECT, b"{}")
    finally:
        nats_process.thaw()
        await client.close()


@asynccontextmanager
async def publishing(
    nats_process: NatsServer,
    on_trouble: Callable[[str], None] = lambda _: None,
    window: float = 120,
) -> AsyncIterator[tuple[Client, Publisher]]:
    """Connect as the commands do, to a stream with this duplicate window."""
    client = await connect(NatsAddress(nats_process.url), name="test", reconnect=True)
    await client.jetstream().add_stream(stream.definition(STREAM).evolve(duplicate_window=window))
    try:
        yield client, Publisher(client, STREAM, on_trouble)
    finally:
        await client.close()


async def stored(client: Client) -> list[bytes]:
    """Return the payload of each event of the stream, in order."""
    context = client.jetstream()
    count = (await context.stream_info(STREAM)).state.messages
    return [(await context.get_msg(STREAM, seq)).data or b"" for seq in range(1, count + 1)]


async def test_a_frozen_nats_neither_loses_nor_doubles_an_event(nats_process: NatsServer) -> None:
    """It is frozen for longer than an ack may take; the trouble and its end are reported."""
    reports: list[str] = []
    async with publishing(nats_process, reports.append) as (client, events):
        assert await events.publish(SUBJECT, b"0", "0") == 1
        nats_process.freeze()
        sent = [asyncio.create_task(events.publish(SUBJECT, b"%d" % n, str(n))) for n in (1, 2, 3)]
        await eventually(lambda: bool(reports))
        later = asyncio.create_task(events.publish(SUBJECT, b"4", "4"))
        nats_process.thaw()
        assert await asyncio.gather(*sent, later) == [2, 3, 4, 5]
        assert await stored(client) == [b"0", b"1", b"2", b"3", b"4"]
    assert reports == [
        "NATS does not acknowledge events (no answer in time): trying again for up to 108 s",
        "NATS acknowledges events again",
    ]


@pytest.mark.parametrize("end", [NatsServer.kill, NatsServer.terminate])
async def test_a_restarted_nats_neither_loses_nor_doubles_an_event(
    nats_process: NatsServer, end: Callable[[NatsServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was killed or stopped, with hundreds of events in flight."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.3)
    async with publishing(nats_process) as (client, events):
        sent = [
            asyncio.create_task(events.publish(SUBJECT, b"%d" % number, str(number)))
            for number in range(2_000)
        ]
        await sent[200]
        end(nats_process)
        nats_process.start()
        seqs = await asyncio.gather(*sent)
        assert sorted(seqs) == list(range(1, 2_001))
        assert sorted(map(int, await stored(client))) == list(range(2_000))


async def test_a_crowd_of_events_keeps_its_order_through_a_freeze(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in flight were stored in order; none that waits overtakes another one."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.3)
    reports: list[str] = []
    async with publishing(nats_process, reports.append) as (_, events):
        await events.publish(SUBJECT, b"0", "0")
        nats_process.freeze()
        sent = [
            asyncio.create_task(events.publish(SUBJECT, b"%d" % n, str(n))) for n in range(1, 3_000)
        ]
        await eventually(lambda: bool(reports))
        nats_process.thaw()
        assert await asyncio.gather(*sent) == list(range(2, 3_001))


async def test_a_cancelled_event_holds_up_no_other(
    client: Client, stream_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was sent, or waits for its turn."""
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", 2)
    events = Publisher(client, stream_name)
    sent = [
        asyncio.create_task(events.publish(SUBJECT, b"%d" % number, str(number)))
        for number in range(8)
    ]
    await asyncio.sleep(0)
    for number in (0, 3, 4):
        sent[number].cancel()
    results = await asyncio.gather(*sent, return_exceptions=True)
    kept = [result for result in results if isinstance(result, int)]
    assert len(kept) == 5
    assert kept == sorted(kept)
    assert await events.publish(SUBJECT, b"", "last") > kept[-1]


async def test_events_in_flight_keep_their_order_if_none_of_them_was_stored(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later event does not overtake one that is tried again."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.3)
    async with publishing(nats_process) as (client, events):
        await events.publish(SUBJECT, b"0", "0")
        nats_process.kill()
        sent = []
        for number in range(1, 400):
            sent.append(asyncio.create_task(events.publish(SUBJECT, b"%d" % number, str(number))))
            await asyncio.sleep(0.001)  # some start before the first of them is tried again
        nats_process.start()
        assert await asyncio.gather(*sent) == list(range(2, 401))
        assert [int(each) for each in await stored(client)] == list(range(400))


@pytest.mark.usefixtures("quick")
async def test_an_event_is_given_up_when_its_duplicate_window_has_passed(
    nats_process: NatsServer,
) -> None:
    """The window is the stream's own; a later attempt could store the event twice."""
    async with publishing(nats_process, window=0.2) as (client, events):
        await events.publish(SUBJECT, b"0", "0")
        nats_process.kill()
        sent = asyncio.create_task(events.publish(SUBJECT, b"1", "1"))
        await asyncio.sleep(0)
        nats_process.start()  # the client connects again after a second
        with pytest.raises(
            NatsUnreachableError, match=r"the event 1 .* could store it twice: look"
        ):
            await sent
        assert await stored(client) == [b"0"]


async def test_an_event_waits_for_a_stream_that_comes_back(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if the stream had taken one before: otherwise it is missing, which is said at once."""
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.02)
    reports: list[str] = []
    async with publishing(nats_process, reports.append) as (client, events):
        await events.publish(SUBJECT, b"0", "0")
        await client.jetstream().delete_stream(STREAM)
        waiting = asyncio.create_task(events.publish(SUBJECT, b"1", "1"))
        await eventually(lambda: bool(reports))
        await stream.ensure(client, STREAM)
        assert await waiting == 1
    assert reports[0].startswith("NATS does not acknowledge events (JetStream does not respond)")


@pytest.mark.parametrize("subject", ["percolator.trades.SOL", "elsewhere"])
async def test_a_subject_that_the_stream_does_not_take_is_refused_at_once(
    client: Client, stream_name: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second attempt would be made after an hour."""
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 3_600)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(NatsUnfitError, match=f"no stream accepts {subject}"):
            await Publisher(client, stream_name).publish(subject, b"{}", "a")


async def test_nats_without_jetstream_is_refused_at_once(tmp_path: Path) -> None:
    """Its answer is the same as that of a subject which no stream takes."""
    with NatsServer(tmp_path, jetstream=False) as server:
        client = await connect(NatsAddress(server.url), name="test", reconnect=True)
        with pytest.raises(NatsUnfitError, match="check that JetStream is enabled"):
            await Publisher(client, STREAM).publish(SUBJECT, b"{}", "a")
        await client.close()


async def test_a_user_who_may_not_ask_about_the_stream_can_publish_through_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The duplicate window is then taken to be the usual one, and asked for once only."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.3)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(LIMITED)
    with NatsServer(tmp_path, "--config", str(configuration)) as server:
        admin = await nats.connect(server.url, user="admin", password="a")
        await stream.ensure(admin, STREAM)
        await admin.close()
        url = server.url.replace("nats://", "nats://maker:m@")
        client = await connect(NatsAddress(url), name="test", reconnect=True)
        events = Publisher(client, STREAM)
        assert await events.publish(SUBJECT, b"0", "0") == 1
        server.kill()
        sent = [
            asyncio.create_task(events.publish(SUBJECT, b"%d" % n, str(n))) for n in range(1, 9)
        ]
        await asyncio.sleep(0)
        server.start()
        assert await asyncio.gather(*sent) == list(range(2, 10))
        with pytest.raises(NatsUnreachableError, match=r"(?i)permissions violation"):
            await events.publish("percolator.trade.SOL", b"{}", "b")
        await client.close()
