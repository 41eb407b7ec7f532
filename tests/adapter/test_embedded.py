"""The embedded nats-server: it starts, keeps its data and stops."""

import asyncio
import os
import re
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import nats
import pytest
from nats.js.api import StorageType

from percolator.errors import NatsUnreachableError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect, hang_up
from percolator.jetstream.embedded import server as embedded
from percolator.jetstream.embedded.datafolder import token_for
from percolator.jetstream.embedded.server import EmbeddedNats

Start = Callable[..., Awaitable[EmbeddedNats]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`embedded.start` on a free port; its servers are stopped after the test."""
    started: list[EmbeddedNats] = []

    async def start(data_dir: Path, port: int = 0) -> EmbeddedNats:
        started.append(await embedded.start(data_dir, port=port))
        return started[-1]

    yield start
    for server in started:
        await server.stop()


async def publish(server: EmbeddedNats, payload: bytes) -> int:
    """Publish to a file stream, which is created if it is missing; return the seq."""
    client = await nats.connect(server.url, token=server.token)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept"], storage=StorageType.FILE)
        return (await stream.publish("kept", payload)).seq
    finally:
        await client.close()


async def stored(server: EmbeddedNats, seq: int) -> bytes | None:
    """The payload that the stream holds at this seq."""
    client = await nats.connect(server.url, token=server.token)
    try:
        return (await client.jetstream().get_msg("KEPT", seq)).data
    finally:
        await client.close()


async def test_the_server_answers_at_its_address(tmp_path: Path, start: Start) -> None:
    """Its process, folder and log are the real ones, too."""
    server = await start(tmp_path / "new" / "data")
    assert re.fullmatch(r"nats://127\.0\.0\.1:\d+", server.url)
    assert await embedded.answers(server.url)
    os.kill(server.pid, 0)
    assert server.data_dir == tmp_path / "new" / "data"
    assert f"[{server.pid}]" in server.log_file.read_text()


async def test_the_server_listens_on_the_given_port(tmp_path: Path, start: Start) -> None:
    """So clients find a restarted server again."""
    first = await start(tmp_path)
    await first.stop()
    again = await start(tmp_path, port=int(first.url.rpartition(":")[2]))
    assert again.url == first.url


async def test_the_server_refuses_to_listen_outside_loopback(tmp_path: Path) -> None:
    """It has no password, so only this machine may reach it."""
    with pytest.raises(ValueError, match="loopback only"):
        await embedded.start(tmp_path, host="0.0.0.0", port=0)  # noqa: S104


async def test_the_server_keeps_its_data_between_runs(tmp_path: Path, start: Start) -> None:
    """The stream and its seqs continue."""
    server = await start(tmp_path)
    seq = await publish(server, b"before")
    await server.stop()
    again = await start(tmp_path)
    assert await stored(again, seq) == b"before"
    assert await publish(again, b"after") == seq + 1


async def test_an_acknowledged_message_survives_a_kill(tmp_path: Path, start: Start) -> None:
    """A kill -9 of the server itself."""
    server = await start(tmp_path)
    seq = await publish(server, b"before")
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert await stored(await start(tmp_path), seq) == b"before"


async def test_a_stream_may_be_larger_than_the_space_free_at_the_start(
    tmp_path: Path, start: Start
) -> None:
    """A limit based on the free space would shrink below the store's size over restarts."""
    server = await start(tmp_path)
    client = await nats.connect(server.url, token=server.token)
    await client.jetstream().add_stream(name="HUGE", subjects=["huge"], max_bytes=900 * 10**9)
    await client.close()


async def test_the_data_folder_may_have_any_name(tmp_path: Path, start: Start) -> None:
    """Quotes, spaces, variables and any letters reach nats-server unchanged."""
    folder = tmp_path / 'it\'s "my" $HOME \\ {data} # Größe'
    server = await start(folder)
    seq = await publish(server, b"here")
    await server.stop()
    assert list((folder / "nats").rglob("*.blk"))
    assert await stored(await start(folder), seq) == b"here"


async def test_stop_leaves_no_process_running(tmp_path: Path, start: Start) -> None:
    """Repeated and concurrent calls do no harm."""
    server = await start(tmp_path)
    await asyncio.gather(server.stop(), server.stop())
    await server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
    assert await server.wait() == 0
    assert not await embedded.answers(server.url)


async def test_every_waiting_task_learns_how_the_server_ended(tmp_path: Path, start: Start) -> None:
    """Here by a kill -9."""
    server = await start(tmp_path)
    waiting = [asyncio.create_task(server.wait()) for _ in range(2)]
    os.kill(server.pid, signal.SIGKILL)
    assert await asyncio.gather(*waiting) == [128 + signal.SIGKILL] * 2


async def test_stop_kills_a_frozen_server(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen server does not react to a request to end."""
    monkeypatch.setattr(embedded, "GRACE_SECONDS", 0.05)
    server = await start(tmp_path)
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop()
    assert await server.wait() == 128 + signal.SIGKILL


async def test_stop_ends_the_server_of_a_frozen_watchdog(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway kills both itself."""
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.05)
    server = await start(tmp_path)
    server._watchdog.send_signal(signal.SIGSTOP)
    await server.stop()
    assert not await embedded.answers(server.url)


async def test_start_waits_for_a_store_that_is_still_in_use(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous server is frozen, so it ends only after the grace period."""
    monkeypatch.setattr(embedded, "GRACE_SECONDS", 0.3)
    dying = await start(tmp_path)
    os.kill(dying.pid, signal.SIGSTOP)
    _, successor = await asyncio.gather(dying.stop(), start(tmp_path))
    assert await embedded.answers(successor.url)


async def test_a_start_that_waits_for_the_store_can_be_cancelled(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at once, and does not lock the store later."""
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 3600)
    monkeypatch.setattr(embedded, "STOP_SECONDS", 3600)
    first = await start(tmp_path)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(embedded.start(tmp_path, port=0), timeout=0.2)
    await first.stop()
    assert await embedded.answers((await start(tmp_path)).url)


def mode(path: Path) -> int:
    """Return a file's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_programs_of_the_same_user_can_log_in(tmp_path: Path, start: Start) -> None:
    """The server requires a new token at each start, from a file that others cannot read."""
    server = await start(tmp_path)
    folder = tmp_path / "nats"
    assert mode(folder) == 0o700
    assert mode(folder / "nats-server.token") == mode(folder / "nats-server.conf") == 0o600
    for token in (None, "guess"):
        with pytest.raises(NatsUnreachableError, match="Authorization Violation"):
            await connect(NatsAddress(server.url, token=token), name="test", reconnect=False)
    found = token_for(tmp_path, server.url)
    assert found == server.token
    await hang_up(await connect(NatsAddress(server.url, token=found), name="t", reconnect=False))
    await server.stop()
    assert (await start(tmp_path)).token != found


async def test_a_folder_that_others_could_read_is_tightened(tmp_path: Path, start: Start) -> None:
    """Of an older version, which made it with the modes that are usual."""
    folder = tmp_path / "nats"
    folder.mkdir()
    for name in ("nats-server.token", "nats-server.conf"):
        (folder / name).write_text("old")
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    await start(tmp_path)
    assert mode(folder) == 0o700
    assert mode(folder / "nats-server.token") == mode(folder / "nats-server.conf") == 0o600


async def test_a_new_data_folder_is_closed_to_others(tmp_path: Path, start: Start) -> None:
    """Not only the part of it that is the server's."""
    await start(tmp_path / "new" / "data")
    assert mode(tmp_path / "new" / "data") == 0o700


async def test_the_token_is_sent_to_no_other_server(tmp_path: Path, start: Start) -> None:
    """Neither to another port or host, nor instead of another login."""
    server = await start(tmp_path)
    port = int(server.url.rpartition(":")[2])
    for url in (
        f"nats://127.0.0.1:{port + 1}",
        f"nats://nats.example:{port}",
        f"nats://user:password@127.0.0.1:{port}",
        f"{server.url},nats://nats.example:{port}",
        "nats://127.0.0.1",
    ):
        assert token_for(tmp_path, url) is None
    assert token_for(tmp_path / "other", server.url) is None
    assert token_for(tmp_path, f"nats://localhost:{port}") == server.token
    await server.stop()
    assert token_for(tmp_path, server.url) is None


async def test_a_given_token_is_the_one_that_the_server_requires(tmp_path: Path) -> None:
    """So other programs can be configured with it."""
    server = await embedded.start(tmp_path, port=0, token="given")
    try:
        assert token_for(tmp_path, server.url) == server.token == "given"
        address = NatsAddress(server.url, token="given")
        await hang_up(await connect(address, name="test", reconnect=False))
    finally:
        await server.stop()
