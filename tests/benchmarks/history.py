"""History: how soon a gateway is ready on a long stream, and how soon a client has resumed."""

import asyncio
import json
import time
from collections.abc import Sequence

import nats
from websockets.asyncio.client import connect

from percolator.jetstream import stream
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage

STORED = 1_000_000
AWAY, AWAY_SHORTLY = 100_000, 1_000
BATCH = 1_000
CHANNEL = "trades:SOL"


def run(stage: Stage) -> list[Row]:
    """Fill a stream, start a gateway, and resume from far back and from a short way back."""
    with stage.nats() as nats_server:
        asyncio.run(make_stream(nats_server.url))
        fill(stage, "market", nats_server.url, STORED - AWAY)
        fill(stage, "storm", nats_server.url, AWAY, "0")
        started = time.monotonic()
        with stage.gateway(nats_server.url, replay_limit=str(AWAY)) as server:
            ready = time.monotonic() - started
            last = server.get("/ws/stats")["nats"]["streamSeq"]
            far = asyncio.run(resumed(server, last - AWAY, last))
            near = [asyncio.run(resumed(server, last - AWAY_SHORTLY, last)) for _ in range(5)]
    name = "history"
    return [
        Row(name, "events in the stream", (last,)),
        Row(name, "until the gateway is ready", (ready,), "s", 5),
        Row(name, f"a client resumes over {AWAY:,} events", (far,), "s"),
        Row(name, f"a client resumes over {AWAY_SHORTLY:,} events", (min(near) * 1e3,), "ms", 100),
    ]


async def make_stream(url: str) -> None:
    """Create the stream of events."""
    client = await nats.connect(url)
    await stream.ensure(client, "PERCOLATOR")
    await client.close()


def fill(stage: Stage, what: str, url: str, events: int, *rest: str) -> None:
    """Publish events; `what` is as the publisher has it."""
    with stage.publisher(what, url, str(events), str(BATCH), *rest) as publisher:
        publisher.finish()


async def resumed(server: Server, since: int, last: int) -> float:
    """Resume the channel; return the seconds until every event has come. Raises RuntimeError."""
    async with connect(
        f"ws://127.0.0.1:{server.port}", compression=None, proxy=None, max_queue=None
    ) as client:
        epoch = json.loads(await client.recv())["epoch"]
        request = {"type": "subscribe", "channels": [CHANNEL], "since": since, "epoch": epoch}
        started = time.monotonic()
        await client.send(json.dumps(request))
        await client.recv()
        texts: list[str | bytes] = []
        while len(texts) < last - since:
            texts.append(await client.recv())
        seconds = time.monotonic() - started
    _check(texts, since, last)
    return seconds


def _check(texts: Sequence[str | bytes], since: int, last: int) -> None:
    messages = [json.loads(text) for text in texts]
    seqs = [message.get("seq") for message in messages]
    prevs = [message.get("prev") for message in messages]
    if seqs != [*range(since + 1, last + 1)] or prevs[1:] != seqs[:-1]:
        raise RuntimeError("a resumed client did not get every event in order")
