"""The stream: created where it is missing, checked where it is there, never changed in silence."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType

from percolator.errors import NatsUnfitError, NatsUnreachableError, StreamConflictError
from percolator.jetstream import stream
from tests.nats_server import NatsServer

DAY = 86_400


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a NATS with JetStream."""
    connected = await nats.connect(nats_url)
    yield connected
    await connected.close()


async def make(client: Client, name: str, **changes: Any) -> None:  # noqa: ANN401 - of any kind
    """Make a stream that differs from ours."""
    await client.jetstream().add_stream(replace(stream.definition(name), **changes))


async def test_a_missing_stream_is_created_as_defined(client: Client, stream_name: str) -> None:
    """NATS keeps what the definition says."""
    state = await stream.ensure(client, stream_name)
    assert (state.last_seq, state.deleted, state.complete) == (0, 0, True)
    config = (await client.jetstream().stream_info(stream_name)).config
    assert config.subjects == [
        "percolator.price.>",
        "percolator.trade.>",
        "percolator.funding.>",
        "percolator.liquidation.>",
    ]
    assert state.growth is None
    assert (config.retention, config.storage) == (RetentionPolicy.LIMITS, StorageType.FILE)
    assert (config.discard, config.allow_direct) == (DiscardPolicy.OLD, True)
    assert (config.max_age, config.max_bytes) == (7 * DAY, 1024**3)
    assert (config.max_msgs_per_subject, config.duplicate_window) == (1_000_000, 120)
    assert config.num_replicas == 1


async def test_a_stream_that_is_there_is_taken_as_it_is(client: Client, stream_name: str) -> None:
    """Its epoch and its events stay."""
    first = await stream.ensure(client, stream_name)
    await client.jetstream().publish("percolator.price.SOL", b"{}")
    second = await stream.ensure(client, stream_name)
    assert second.epoch == first.epoch
    assert second.last_seq == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"max_age": DAY, "max_bytes": 10_000_000, "max_msgs_per_subject": 50},
        {"storage": StorageType.MEMORY, "duplicate_window": 5},
        {"description": "ours", "max_msgs": 1_000},
    ],
)
async def test_how_much_is_kept_is_the_operators_choice(
    client: Client, stream_name: str, changes: dict[str, Any]
) -> None:
    """Limits and storage may differ, and stay as they are."""
    await make(client, stream_name, **changes)
    await stream.ensure(client, stream_name)
    config = (await client.jetstream().stream_info(stream_name)).config
    assert {name: getattr(config, name) for name in changes} == changes


async def test_a_stream_may_take_more_than_our_subjects(client: Client, stream_name: str) -> None:
    """A newer version's kinds, or another application's messages."""
    await make(client, stream_name, subjects=["percolator.>", f"orders.{stream_name}.>"])
    assert (await stream.ensure(client, stream_name)).growth is None


async def test_the_command_for_an_older_stream_makes_it_complete(
    client: Client, stream_name: str
) -> None:
    """It is served as it is, and the sentence says how to add the kinds that it lacks."""
    older = ["percolator.price.>", "percolator.trade.>", "percolator.funding.>"]
    await make(client, stream_name, subjects=older)
    growth = (await stream.ensure(client, stream_name)).growth
    assert growth is not None
    subjects = shlex.split(growth.command)[-1].split(",")
    config = (await client.jetstream().stream_info(stream_name)).config
    await client.jetstream().update_stream(replace(config, subjects=subjects))
    assert (await stream.ensure(client, stream_name)).growth is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subjects": ["orders.>"]}, "subjects is ['orders.>'], not "),
        ({"subjects": ["percolator.*.*"]}, "subjects is ['percolator.*.*'], not "),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention is workqueue, not limits"),
        ({"retention": RetentionPolicy.INTEREST}, "retention is interest, not limits"),
        ({"discard": DiscardPolicy.NEW, "max_msgs": 9}, "discard is new, not old"),
        ({"allow_direct": False}, "allow_direct is False, not True"),
        ({"no_ack": True}, "no_ack is True, not False"),
    ],
)
async def test_another_definition_is_an_error_that_says_what_differs(
    client: Client, stream_name: str, changes: dict[str, Any], said: str
) -> None:
    """And nothing of it is changed."""
    await make(client, stream_name, **changes)
    before = (await client.jetstream().stream_info(stream_name)).config
    with pytest.raises(StreamConflictError) as raised:
        await stream.ensure(client, stream_name)
    assert said in str(raised.value)
    assert stream_name in str(raised.value)
    assert (await client.jetstream().stream_info(stream_name)).config == before


async def test_everything_that_differs_is_said_at_once(client: Client, stream_name: str) -> None:
    """One run, one list to mend."""
    await make(client, stream_name, no_ack=True, allow_direct=False)
    with pytest.raises(StreamConflictError, match=r"allow_direct is .*; no_ack is "):
        await stream.ensure(client, stream_name)


async def test_subjects_that_another_stream_takes_are_an_error(
    client: Client, stream_name: str
) -> None:
    """Two streams cannot share them."""
    await make(client, stream_name, subjects=["percolator.trade.SOL"])
    with pytest.raises(StreamConflictError, match="another stream already takes subjects of OTHER"):
        await stream.ensure(client, "OTHER")


async def test_many_may_create_it_at_once(nats_url: str, stream_name: str) -> None:
    """Gateways that start together agree on one stream."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(8):
            clients.append(await nats.connect(nats_url))
            stack.push_async_callback(clients[-1].close)
        states = await asyncio.gather(*(stream.ensure(each, stream_name) for each in clients))
        assert len({state.epoch for state in states}) == 1


async def test_a_recreated_stream_has_another_epoch(client: Client, stream_name: str) -> None:
    """The name is the same, the life is not."""
    epochs = set()
    for _ in range(3):
        epochs.add((await stream.ensure(client, stream_name)).epoch)
        await client.jetstream().delete_stream(stream_name)
    assert len(epochs) == 3


async def test_a_stream_that_has_dropped_something_is_not_complete(
    client: Client, stream_name: str
) -> None:
    """Whether from its beginning or from its middle."""
    await stream.ensure(client, stream_name)
    context = client.jetstream()
    for _ in range(5):
        await context.publish("percolator.price.SOL", b"{}")
    state = await stream.ensure(client, stream_name)
    assert (state.first_seq, state.last_seq, state.complete) == (1, 5, True)
    await context.delete_msg(stream_name, 3)
    state = await stream.ensure(client, stream_name)
    assert (state.first_seq, state.last_seq, state.deleted, state.complete) == (1, 5, 1, False)
    await context.purge_stream(stream_name, seq=4)
    state = await stream.ensure(client, stream_name)
    assert (state.first_seq, state.last_seq, state.deleted, state.complete) == (4, 5, 0, False)


async def test_an_emptied_stream_is_not_complete(client: Client, stream_name: str) -> None:
    """It holds nothing, but it has held something."""
    await stream.ensure(client, stream_name)
    await client.jetstream().publish("percolator.price.SOL", b"{}")
    await client.jetstream().purge_stream(stream_name)
    state = await stream.ensure(client, stream_name)
    assert (state.last_seq, state.complete) == (1, False)


@pytest.fixture(params=["no JetStream at all", "none for our account"])
def without_jetstream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a NATS whose JetStream is not for us."""
    if request.param == "no JetStream at all":
        server = NatsServer(tmp_path, jetstream=False)
    else:
        accounts = tmp_path / "accounts.conf"
        accounts.write_text(
            "accounts { A { jetstream: enabled, users: [{user: a, password: a}] }\n"
            "           B { users: [{user: b, password: b}] } }\n"
            "no_auth_user: b\n"
        )
        server = NatsServer(tmp_path, "--config", str(accounts))
    with server:
        yield server.url


async def test_a_nats_without_jetstream_is_an_error_that_says_so(without_jetstream: str) -> None:
    """For the whole server or for our account."""
    client = await nats.connect(without_jetstream)
    with pytest.raises(NatsUnfitError, match="has no JetStream for us: start it with -js"):
        await stream.ensure(client, "PERCOLATOR")
    await client.close()


async def test_a_nats_that_is_too_old_is_an_error_that_says_so(client: Client) -> None:
    """With its version, and the one that is needed."""
    assert client._current_server is not None
    client._current_server.server_version = "2.10.29"
    with pytest.raises(NatsUnfitError, match=r"is version 2\.10\.29: percolator needs 2\.11"):
        await stream.ensure(client, "PERCOLATOR")


async def test_a_nats_that_does_not_answer_is_an_error_in_time(nats_process: NatsServer) -> None:
    """A frozen server holds nobody up for longer than was asked."""
    client = await nats.connect(nats_process.url)
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="does not answer"):
            await stream.ensure(client, "PERCOLATOR", timeout=0.2)
    finally:
        nats_process.thaw()
        await client.close()
