"""The publishing commands as processes, while their NATS is frozen, killed and started again.

Each event is stored once, whatever was lost: the event or its acknowledgement.
"""

import asyncio
import contextlib
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nats
import pytest

from percolator.app.recording import markets
from percolator.jetstream import stream
from tests.cli.program import PATIENCE, Program, get
from tests.hostile import listening
from tests.nats_server import NatsServer

STREAM = "PERCOLATOR"
FREEZE_SECONDS = 3.0
"""Longer than one acknowledgement may take."""
TIME = "1750000000000"
TRADE = ("publish", "trade", "SOL", "long", "1000000", "1.5")


@pytest.fixture
def server(nats_process: NatsServer) -> NatsServer:
    """A NATS with an empty stream."""

    async def create() -> None:
        client = await nats.connect(nats_process.url)
        await stream.ensure(client, STREAM)
        await client.close()

    asyncio.run(create())
    return nats_process


@pytest.fixture
def publishing(tmp_path: Path, server: NatsServer) -> Program:
    """The program, configured for that NATS."""
    return Program(tmp_path, nats_url=server.url)


def freeze(server: NatsServer) -> None:
    """Freeze it for some seconds: the time is what matters here."""
    server.freeze()
    time.sleep(FREEZE_SECONDS)
    server.thaw()


def kill(server: NatsServer) -> None:
    """Kill it, and start it again."""
    server.kill()
    server.start()


OUTAGES = pytest.mark.parametrize("outage", [freeze, kill, NatsServer.restart])
Outage = Callable[[NatsServer], None]


def events_of(server: NatsServer) -> list[tuple[str, str]]:
    """Return message id and payload of everything in the stream, in order."""

    async def read() -> list[tuple[str, str]]:
        client = await nats.connect(server.url)
        try:
            context = client.jetstream()
            consumer = await context.subscribe(
                "percolator.>", stream=STREAM, ordered_consumer=True, pending_msgs_limit=-1
            )
            count = (await context.stream_info(STREAM)).state.messages
            found = [await consumer.next_msg(timeout=PATIENCE) for _ in range(count)]
        finally:
            await client.close()
        return [((each.headers or {})["Nats-Msg-Id"], each.data.decode()) for each in found]

    return asyncio.run(read())


def count_of(server: NatsServer) -> int:
    """Return how many events the stream has."""

    async def read() -> int:
        client = await nats.connect(server.url)
        try:
            return int((await client.jetstream().stream_info(STREAM)).state.messages)
        finally:
            await client.close()

    return asyncio.run(read())


def wait_for(server: NatsServer, count: int) -> None:
    """Wait until the stream has this many events."""
    deadline = time.monotonic() + PATIENCE
    while count_of(server) < count:
        assert time.monotonic() < deadline


def check_the_demo(server: NatsServer, slabs: int) -> int:
    """Check that the stream has each event of the demo once, up to some place; return its count.

    The last events may be in flight when the demo ends, so that not all of them are stored.
    """
    ids = Counter(message_id for message_id, _ in events_of(server))
    assert set(ids.values()) == {1}
    length = len(markets(slabs))
    places = sorted(
        int(turn) * length + int(line) for _, turn, _, line in (each.split(":") for each in ids)
    )
    whole = max(len(places) - 256, 0)
    assert places[:whole] == list(range(whole))
    return len(places)


@OUTAGES
def test_publish_demo_survives_an_outage_and_loses_and_doubles_nothing(
    publishing: Program, server: NatsServer, outage: Outage
) -> None:
    """With --loop it goes on until it is interrupted; each turn's events are published too."""
    args = ("publish", "demo", "--loop", "--speed", "20", "--slabs", "2")
    with publishing.start(*args) as running:
        wait_for(server, 1_000)
        outage(server)
        before = count_of(server)
        wait_for(server, before + 2_000)
        running.signal(signal.SIGINT)
        done = running.end()
    assert done.code == 130, done
    published = int(done.err.partition("interrupted: published ")[2].split()[0].replace(",", ""))
    assert check_the_demo(server, 2) >= published > before


@OUTAGES
def test_the_demo_of_serve_survives_an_outage_and_loses_and_doubles_nothing(
    publishing: Program, server: NatsServer, outage: Outage
) -> None:
    """The gateway has its events afterwards."""
    with publishing.gateway("--demo", "--requests-per-second", "0") as gateway:
        wait_for(server, 50)
        outage(server)
        before = count_of(server)
        wait_for(server, before + 200)
        deadline = time.monotonic() + PATIENCE
        while get(f"{gateway.http}/ws/stats")["nats"]["streamSeq"] < before + 200:
            assert time.monotonic() < deadline
    check_the_demo(server, 2)


EVENT, ACK = b"HPUB percolator.", b'{"stream":"PERCOLATOR"'


@contextlib.contextmanager
def between(server: NatsServer, moment: bytes, outage: Outage) -> Iterator[str]:
    """Run a proxy before NATS; yields its address.

    Once, it has the outage before it passes on data that contain `moment`.
    """
    left = [outage]

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if moment in data and left:
                    left.pop()(server)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as there:
            back = threading.Thread(target=pump, args=(there, client))
            back.start()
            pump(client, there)
            back.join()

    with listening(serve) as port:
        yield f"nats://127.0.0.1:{port}"


@pytest.mark.parametrize("moment", [EVENT, ACK], ids=["event", "ack"])
@OUTAGES
def test_publish_trade_survives_an_outage(
    publishing: Program, server: NatsServer, outage: Outage, moment: bytes
) -> None:
    """Whether the event is lost on its way to NATS, or its acknowledgement on its way back."""
    with between(server, moment, outage) as url:
        done = publishing.run(*TRADE, "--nats-url", url)
    assert (done.code, done.out) == (0, "published percolator.trade.SOL seq 1\n"), done.err[-3000:]
    assert len(events_of(server)) == 1


def test_publish_trade_says_at_once_that_nats_is_frozen(
    publishing: Program, server: NatsServer
) -> None:
    """And that it tries again."""
    with (
        between(server, EVENT, NatsServer.freeze) as url,
        publishing.start(*TRADE, "--nats-url", url) as running,
    ):
        trouble = running.complaint("NATS does not acknowledge events")
        server.thaw()
        done = running.end()
    assert "(no answer in time): trying again for up to 108 s" in trouble
    assert (done.code, done.out) == (0, "published percolator.trade.SOL seq 1\n")
    assert "NATS acknowledges events again" in done.err


def test_an_interrupted_publish_says_how_to_publish_the_event_once(
    publishing: Program, server: NatsServer
) -> None:
    """With its id and its time: it may be stored or not."""
    with (
        between(server, EVENT, NatsServer.freeze) as url,
        publishing.start(*TRADE, "--timestamp", TIME, "--nats-url", url) as running,
    ):
        running.complaint("NATS does not acknowledge events")
        running.signal(signal.SIGINT)
        done = running.end()
        server.thaw()
    assert done.code == 130
    found = re.search(r"--timestamp 1750000000000 --id \w+$", done.err.strip())
    assert found, done.err
    wait_for(server, 1)  # it was in a buffer, and NATS has read it since
    again = publishing.run(*TRADE, *found[0].split())
    assert (again.code, again.out) == (0, "already published percolator.trade.SOL seq 1\n")
    assert len(events_of(server)) == 1


@OUTAGES
def test_a_load_test_survives_an_outage_and_counts_each_event_once(
    publishing: Program, server: NatsServer, outage: Outage
) -> None:
    """Every event is acknowledged in the end, and every client gets it."""
    with publishing.gateway("--requests-per-second", "0") as gateway:
        publishing.settings["port"] = gateway.ws.rpartition(":")[2]
        args = ("loadtest", "--connections", "4", "--rate", "200", "--duration", "8", "--json")
        with publishing.start(*args) as running:
            wait_for(server, 200)
            outage(server)
            done = running.end()
    assert done.code == 0, done
    assert done.json["published"]["unacknowledged"] == 0
    ids = Counter(message_id for message_id, _ in events_of(server))
    assert set(ids.values()) == {1}
    assert len(ids) == done.json["published"]["events"]
