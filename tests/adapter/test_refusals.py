"""What NATS refuses: feeds and publishers say it in its words, and go on once it is allowed."""

import asyncio
import logging
from pathlib import Path
from uuid import uuid4

import pytest
from nats.js.api import ConsumerConfig

from percolator.errors import NatsError, NatsUnfitError, NatsUnreachableError
from percolator.jetstream import publisher as publishing
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from percolator.jetstream.replay import Replay
from percolator.jetstream.stream import definition
from tests.adapter.feeding import RecordingSink, dialer, feed_of, publish, running
from tests.gateway import eventually
from tests.nats_permissions import ROOM, LimitedServer, limited

STREAM, SUBJECT = "PERCOLATOR", "percolator.trade.SOL"
LOOKING = ("$JS.API.STREAM.>", "$JS.API.DIRECT.>")
READING = (*LOOKING, "$JS.API.CONSUMER.>")
SENTENCE = (
    "NATS does not create a consumer: Permissions Violation for Publish to "
    '"$JS.API.CONSUMER.CREATE.PERCOLATOR" (allow it for this user, or set nats_prefix to the name '
    "that NATS gives it)"
)


async def make_stream(server: LimitedServer, events: int = 0, **fields: object) -> None:
    """Create the stream, with some events."""
    operator = await server.operator()
    await operator.jetstream().add_stream(definition(STREAM).evolve(**fields))
    await publish(operator, events)
    await operator.close()


async def trouble_of(server: LimitedServer, text: str) -> str:
    """Run a feed until its trouble has a text; return the trouble."""
    feed = feed_of(server.login(), RecordingSink())
    async with running(feed):
        await eventually(lambda: text in feed.trouble)
        return feed.trouble


async def test_a_feed_without_permission_for_a_consumer_says_so_once_and_starts_when_it_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries again and again; the log has one line for it, and one for the end of it."""
    with limited(tmp_path, LOOKING) as server:
        await make_stream(server, 3)
        sink = RecordingSink()
        feed = feed_of(server.login(), sink)
        with caplog.at_level(logging.INFO, logger="percolator.jetstream"):
            async with running(feed):
                await eventually(lambda: feed._failures >= 3)
                assert feed.trouble == SENTENCE
                assert not feed.loaded
                server.permit(READING)
                await server.reload()
                await eventually(lambda: feed.loaded)
                assert (sink.seqs, feed.trouble) == ([1, 2, 3], "")
    lines = [line for line in caplog.messages if "state loaded" not in line]
    assert len(lines) == len(set(lines))
    assert f"feed: {SENTENCE}; retrying, will resume after seq 0" in lines
    assert lines[-1].startswith("feed: reading again, after seq ")


@pytest.mark.parametrize("subject", ["STREAM.INFO.PERCOLATOR", "STREAM.CREATE.PERCOLATOR"])
async def test_a_feed_that_may_not_ask_for_the_stream_names_the_subject(
    subject: str, tmp_path: Path
) -> None:
    """To look it up, or to create it."""
    allowed = [] if "INFO" in subject else ["$JS.API.STREAM.INFO.>"]
    verb = "looked up" if "INFO" in subject else "created"
    with limited(tmp_path, ["x", *allowed]) as server:
        assert await trouble_of(server, "Permissions") == (
            f"the stream PERCOLATOR cannot be {verb}: Permissions Violation for Publish to "
            f'"$JS.API.{subject}" (allow it for this user, or set nats_prefix to the name that '
            "NATS gives it)"
        )


async def test_a_feed_without_an_inbox_says_so_and_starts_when_it_has_one(tmp_path: Path) -> None:
    """On the same connection too."""
    with limited(tmp_path, subscribe=["_INBOX.other.>"]) as server:
        await make_stream(server, 3)
        feed = feed_of(server.login(), RecordingSink())
        async with running(feed):
            await eventually(lambda: "for Subscription to" in feed.trouble)
            assert feed.trouble.endswith(
                "(allow it for this user, or set nats_prefix or nats_inbox_prefix to the name that "
                "NATS gives it)"
            )
            server.permit()
            await server.reload()
            await eventually(lambda: feed.loaded)


async def test_a_feed_with_an_inbox_prefix_has_all_answers_there(tmp_path: Path) -> None:
    """Also the events, and the pages of history."""
    with limited(tmp_path, READING, ["_INBOX.mine.>"]) as server:
        await make_stream(server, 3)
        sink = RecordingSink()
        feed = feed_of(server.login(), sink, inbox_prefix="_INBOX.mine")
        async with running(feed):
            await eventually(lambda: sink.seqs == [1, 2, 3])
            replay = Replay(
                lambda: feed, STREAM, dialer(server.login(), inbox_prefix="_INBOX.mine").dial
            )
            assert len((await replay.page(SUBJECT, 0, None)).events) == 3
            await replay.close()


async def test_a_feed_that_may_not_answer_flow_control_still_reads_everything(
    tmp_path: Path,
) -> None:
    """Otherwise it would wait forever for events, with heartbeats all the time."""
    with limited(tmp_path, READING) as server:
        await make_stream(server)
        operator = await server.operator()
        sink = RecordingSink()
        feed = feed_of(server.login(), sink)
        async with running(feed):
            await eventually(lambda: feed.loaded)
            for _ in range(5_000):
                await operator.publish(SUBJECT, b"x" * 2_000)
            await operator.flush()
            await eventually(lambda: len(sink.seqs) == 5_000)
            assert sink.seqs == [*range(1, 5_001)]
            assert not sink.gaps
        await operator.close()
        assert "$JS.FC.PERCOLATOR" in server.log()


async def test_a_page_of_history_that_is_refused_says_so_at_once(tmp_path: Path) -> None:
    """It would be a timeout of seconds otherwise."""
    with limited(tmp_path, ["$JS.API.STREAM.>", "$JS.API.CONSUMER.>"]) as server:
        await make_stream(server, 3)
        feed = feed_of(server.login(), RecordingSink())
        async with running(feed):
            await eventually(lambda: feed.loaded)
            replay = Replay(lambda: feed, STREAM, dialer(server.login()).dial)
            with pytest.raises(
                NatsUnreachableError,
                match=r'Permissions Violation for Publish to "\$JS.API.DIRECT.GET.PERCOLATOR"',
            ):
                async with asyncio.timeout(1):
                    await replay.page(SUBJECT, 0, None)
            await replay.close()


NO_CONSUMER = (
    "the stream PERCOLATOR has as many consumers as NATS allows (maximum consumers limit reached): "
    "remove those that nothing reads (nats consumer rm), or raise max_consumers of the account"
)
NO_STORAGE = (
    "is not available (insufficient storage resources available): raise the storage of the "
    "account or of the server (max_file), or lower max_bytes of the stream"
)


@pytest.mark.parametrize(
    ("account", "said"),
    [(f"{ROOM}, max_consumers: 1", NO_CONSUMER), ("max_file: 10MB, max_mem: 1GB", NO_STORAGE)],
)
async def test_a_limit_of_the_account_is_named_with_what_to_raise(
    account: str, said: str, tmp_path: Path
) -> None:
    """In the words of NATS."""
    with limited(tmp_path, account=account) as server:
        operator = await server.operator()
        if "max_consumers" in account:
            await make_stream(server)
            await operator.jetstream().subscribe(
                SUBJECT, stream=STREAM, config=ConsumerConfig(description="another program")
            )
        assert (await trouble_of(server, "(")).endswith(said)
        await operator.close()


async def published(server: LimitedServer, payload: bytes = b"{}") -> int:
    """Publish an event as the limited user."""
    client = await connect(NatsAddress(server.login()), name="test", reconnect=False)
    try:
        return await Publisher(client, STREAM).publish(SUBJECT, payload, uuid4().hex)
    finally:
        await client.close()


async def refusal(server: LimitedServer) -> str:
    """Return the error of an event that is refused at once, though it has an id."""
    with pytest.raises(NatsError) as raised:
        async with asyncio.timeout(publishing.ACK_SECONDS):
            await published(server)
    return str(raised.value)


@pytest.mark.parametrize(
    ("publish", "subscribe", "what"),
    [("x", ">", f'Publish to "{SUBJECT}"'), (">", "x", 'Subscription to "_INBOX.')],
)
async def test_a_publisher_without_permission_says_so_at_once(
    publish: str, subscribe: str, what: str, tmp_path: Path
) -> None:
    """For the event, or for the acknowledgement; it does not try again for seconds."""
    with limited(tmp_path, [publish], [subscribe]) as server:
        await make_stream(server)
        said = await refusal(server)
    assert said.startswith(f"NATS does not acknowledge the event: Permissions Violation for {what}")


async def test_a_full_account_is_named_with_what_to_raise(tmp_path: Path) -> None:
    """Not the disk, which is not full."""
    with limited(tmp_path, account="max_file: 20KB, max_mem: 1GB") as server:
        await make_stream(server, max_bytes=-1)
        for _ in range(2):
            await published(server, b"x" * 8_000)
        with pytest.raises(NatsUnfitError) as raised:
            await published(server, b"x" * 8_000)
    assert str(raised.value) == (
        "JetStream refuses the event (resource limits exceeded for account): raise the storage of "
        "the account or of the server (max_file), or lower max_bytes of the stream"
    )
