"""The stream: created if it is missing, checked if it exists, never changed silently."""

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
from nats.js.errors import APIError

from percolator.errors import NatsUnfitError, NatsUnreachableError, StreamConflictError
from percolator.jetstream import stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.removal import Removal
from tests.nats_server import NatsServer

DAY = 86_400


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a NATS with JetStream."""
    connected = await nats.connect(nats_url)
    yield connected
    await connected.close()


async def make(client: Client, name: str, **changes: Any) -> None:  # noqa: ANN401 - of any type
    """Create a stream that differs from our definition."""
    await client.jetstream().add_stream(replace(stream.definition(name), **changes))


async def test_ensure_creates_a_missing_stream_as_defined(client: Client, stream_name: str) -> None:
    """NATS stores every field of the definition."""
    state = await stream.ensure(client, stream_name)
    assert (state.last_seq, state.deleted, state.complete) == (0, 0, True)
    config = (await client.jetstream().stream_info(stream_name)).config
    assert config.subjects == [
        "percolator.price.>",
        "percolator.trade.>",
        "percolator.funding.>",
        "percolator.liquidation.>",
        "percolator.market.>",
    ]
    assert state.growth == ()
    assert config.max_msg_size == 9_216
    assert (config.retention, config.storage) == (RetentionPolicy.LIMITS, StorageType.FILE)
    assert (config.discard, config.allow_direct) == (DiscardPolicy.OLD, True)
    assert (config.max_age, config.max_bytes) == (7 * DAY, 1024**3)
    assert (config.max_msgs_per_subject, config.duplicate_window) == (1_000_000, 120)
    assert config.num_replicas == 1


async def test_ensure_keeps_an_existing_stream(client: Client, stream_name: str) -> None:
    """With its epoch and its events."""
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
async def test_ensure_accepts_other_limits(
    client: Client, stream_name: str, changes: dict[str, Any]
) -> None:
    """Limits and storage are the operator's choice, and stay unchanged."""
    await make(client, stream_name, **changes)
    await stream.ensure(client, stream_name)
    config = (await client.jetstream().stream_info(stream_name)).config
    assert {name: getattr(config, name) for name in changes} == changes


async def test_a_stream_may_take_more_than_our_subjects(client: Client, stream_name: str) -> None:
    """A newer version's kinds, or another application's messages."""
    await make(client, stream_name, subjects=["percolator.>", f"orders.{stream_name}.>"])
    assert (await stream.ensure(client, stream_name)).growth == ()


async def test_a_prefix_that_the_server_does_not_know_is_named(nats_url: str) -> None:
    """As on a server without nats/nats-server.conf."""
    address = NatsAddress(nats_url, prefix="gateway")
    connected = await connect(address, name="test", reconnect=False)
    with pytest.raises(NatsUnfitError, match="check nats_prefix"):
        await stream.ensure(connected, "PERCOLATOR")
    await connected.close()


async def test_the_commands_for_an_older_stream_make_it_complete(
    client: Client, stream_name: str
) -> None:
    """It is served as it is, and the sentences say how to add the kinds and the limit it lacks."""
    older = ["percolator.price.>", "percolator.trade.>", "percolator.funding.>"]
    await make(client, stream_name, subjects=older, max_msg_size=-1)
    kinds, size = (await stream.ensure(client, stream_name)).growth
    subjects = shlex.split(kinds.command)[-1].split(",")
    assert shlex.split(size.command)[-2] == "--max-msg-size"
    limit = int(shlex.split(size.command)[-1])
    config = (await client.jetstream().stream_info(stream_name)).config
    await client.jetstream().update_stream(replace(config, subjects=subjects, max_msg_size=limit))
    assert (await stream.ensure(client, stream_name)).growth == ()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"subjects": ["orders.>"]}, "subjects is ['orders.>'], not "),
        ({"subjects": ["percolator.*.*"]}, "subjects is ['percolator.*.*'], not "),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention is workqueue, not limits"),
        ({"retention": RetentionPolicy.INTEREST}, "retention is interest, not limits"),
        ({"discard": DiscardPolicy.NEW, "max_msgs": 9}, "discard is new, not old"),
        ({"allow_direct": False}, "allow_direct is False, not True"),
        ({"no_ack": True}, "no_ack is True, not False"),
        ({"allow_msg_counter": True}, "allow_msg_counter is True, not False"),
    ],
)
async def test_ensure_raises_with_the_difference_when_the_definition_conflicts(
    client: Client, stream_name: str, changes: dict[str, Any], difference: str
) -> None:
    """It changes nothing in the stream."""
    await make(client, stream_name, **changes)
    before = (await client.jetstream().stream_info(stream_name)).config
    with pytest.raises(StreamConflictError) as raised:
        await stream.ensure(client, stream_name)
    assert difference in str(raised.value)
    assert stream_name in str(raised.value)
    assert (await client.jetstream().stream_info(stream_name)).config == before


async def test_ensure_reports_all_differences_at_once(client: Client, stream_name: str) -> None:
    """So one run shows everything to fix."""
    await make(client, stream_name, no_ack=True, allow_direct=False)
    with pytest.raises(StreamConflictError, match=r"allow_direct is .*; no_ack is "):
        await stream.ensure(client, stream_name)


async def test_ensure_raises_when_another_stream_has_the_subjects(
    client: Client, stream_name: str
) -> None:
    """Two streams cannot share a subject."""
    await make(client, stream_name, subjects=["percolator.trade.SOL"])
    with pytest.raises(StreamConflictError, match="another stream already has subjects of OTHER"):
        await stream.ensure(client, "OTHER")


async def test_gateways_that_start_together_create_one_stream(
    nats_url: str, stream_name: str
) -> None:
    """They all get the same epoch."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(8):
            clients.append(await nats.connect(nats_url))
            stack.push_async_callback(clients[-1].close)
        states = await asyncio.gather(*(stream.ensure(each, stream_name) for each in clients))
        assert len({state.epoch for state in states}) == 1


async def test_a_recreated_stream_has_a_new_epoch(client: Client, stream_name: str) -> None:
    """The name is the same, the incarnation is not."""
    epochs = set()
    for _ in range(3):
        epochs.add((await stream.ensure(client, stream_name)).epoch)
        await client.jetstream().delete_stream(stream_name)
    assert len(epochs) == 3


async def test_a_stream_that_dropped_an_event_is_not_complete(
    client: Client, stream_name: str
) -> None:
    """At its beginning or in the middle."""
    await make(client, stream_name, deny_delete=False)
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


async def test_single_messages_cannot_be_deleted_from_a_stream_that_ensure_created(
    client: Client, stream_name: str
) -> None:
    """So it can only lose the oldest events of a subject first."""
    state = await stream.ensure(client, stream_name)
    assert state.removal is Removal.OLDEST_FIRST
    ack = await client.jetstream().publish("percolator.trade.SOL", b"{}")
    with pytest.raises(APIError, match="message delete not permitted"):
        await client.jetstream().delete_msg(stream_name, ack.seq)


@pytest.mark.parametrize(
    ("changes", "removal"),
    [
        ({"deny_delete": False}, Removal.BY_HAND),
        ({"allow_rollup_hdrs": True}, Removal.OLDEST_FIRST),
        ({"allow_msg_ttl": True}, Removal.ANY),
        ({"subject_delete_marker_ttl": 1}, Removal.ANY),
        ({"allow_msg_schedules": True, "deny_delete": False}, Removal.ANY),
    ],
)
async def test_the_definition_tells_how_messages_may_leave_the_stream(
    client: Client, stream_name: str, changes: dict[str, Any], removal: Removal
) -> None:
    """Such a stream is accepted; if messages may expire one by one, a sentence says so."""
    await make(client, stream_name, **changes)
    state = await stream.ensure(client, stream_name)
    assert state.removal is removal
    assert [growth.about for growth in state.growth] == ["single messages"] * (
        removal is Removal.ANY
    )


async def test_a_purged_stream_is_not_complete(client: Client, stream_name: str) -> None:
    """It is empty, but it once held an event."""
    await stream.ensure(client, stream_name)
    await client.jetstream().publish("percolator.price.SOL", b"{}")
    await client.jetstream().purge_stream(stream_name)
    state = await stream.ensure(client, stream_name)
    assert (state.last_seq, state.complete) == (1, False)


@pytest.fixture(params=["without JetStream", "JetStream disabled for our account"])
def without_jetstream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a NATS whose JetStream we cannot use."""
    if request.param == "without JetStream":
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


async def test_ensure_raises_when_jetstream_is_disabled(without_jetstream: str) -> None:
    """For the whole server, or for our account."""
    client = await nats.connect(without_jetstream)
    with pytest.raises(NatsUnfitError, match="has JetStream disabled for us: start it with -js"):
        await stream.ensure(client, "PERCOLATOR")
    await client.close()


async def test_ensure_raises_when_the_server_is_too_old(client: Client) -> None:
    """With its version and the required one."""
    assert client._current_server is not None
    client._current_server.server_version = "2.10.29"
    with pytest.raises(NatsUnfitError, match=r"is version 2\.10\.29: upgrade it to 2\.11"):
        await stream.ensure(client, "PERCOLATOR")


async def test_ensure_raises_in_time_when_nats_does_not_answer(nats_process: NatsServer) -> None:
    """After the timeout that the caller gave."""
    client = await nats.connect(nats_process.url)
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="does not answer"):
            await stream.ensure(client, "PERCOLATOR", timeout=0.2)
    finally:
        nats_process.thaw()
        await client.close()
