"""Requests that name many channels: valid ones, others, duplicates, and more than the limit."""

import json
import random
from typing import Any

from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from percolator.model.channel import Channel
from tests.client import upgrade
from tests.fuzz.bench import MAX_MESSAGE, Bench, ClientSocket
from tests.fuzz.targets.target import bench_of, end_by_sweep, wildcards

LIMIT = 5
"""Channels that a client may follow on the bench; those of one market count as one."""


def _names(valid: int, invalid: int, copies: int, seed: int, wild: set[str]) -> list[str]:
    """Return names of channels, valid and not, each some times, in a random order."""
    names = [*sorted(wild), *(f"trades:A{number}" for number in range(valid))]
    names += [f"x{number}" for number in range(invalid)]
    shuffled = (names or ["x"]) * copies
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - only an order
    return shuffled


counts = st.integers(0, 8) | st.integers(0, 300)
names = st.builds(_names, counts, counts, st.integers(1, 3), st.integers(0, 99), st.sets(wildcards))
requests = st.lists(
    st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), names), min_size=1, max_size=4
)


def check_many(example: list[tuple[str, list[str]]]) -> None:
    """Expect that every channel is accounted for, and that no client follows more than it may."""
    with bench_of("many") as bench:
        _check_many(bench, example)


def _check_many(bench: Bench, example: list[tuple[str, list[str]]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    client.receive()
    followed: set[str] = set()
    for kind, channels in example:
        bench.now += 60  # as many messages as a client may send at once
        replies = _send(client, kind, channels)
        if not client.is_open:
            break
        done = _check_replies(replies, set(channels))
        followed = followed | done if kind == "subscribe" else followed - done
        _check_followers(bench, followed)
    end_by_sweep(bench, client)


def _check_followers(bench: Bench, followed: set[str]) -> None:
    """Expect the client in the logs of its channels, unless it reads them through a wildcard."""
    read = {log.channel.name for log in bench.hub.book.all_logs() if log.followers}
    named = {name: Channel.parse(name) for name in followed}
    assert read <= followed
    for name, channel in named.items():
        assert channel is not None
        assert name in read or (not channel.is_wildcard and channel.wildcard.name in followed)
    slabs = {channel.slab for channel in named.values() if channel is not None}
    assert bench.slab_limits.clients == dict.fromkeys(slabs, 1)
    assert len(slabs) <= LIMIT


def _send(client: ClientSocket, kind: str, channels: list[str]) -> list[Any]:
    message = json.dumps({"type": kind, "channels": channels}, separators=(",", ":")).encode()
    client.send(Frame(Opcode.TEXT, message).serialize(mask=True))
    assert client.close_code == (1009 if len(message) > MAX_MESSAGE else client.close_code)
    assert client.close_code in (None, 1008, 1009)
    return client.receive()


def _check_replies(replies: list[Any], requested: set[str]) -> set[str]:
    """Return what the final reply names: each channel is in it, in an error, or counted."""
    errors = [each for each in replies if each["type"] == "error"]
    final = [each for each in replies if each["type"] != "error"]
    assert len(final) <= 1
    assert replies == errors + final
    done = set(final[0]["channels"]) if final else set()
    assert done <= {name for name in requested if Channel.parse(name)}
    if any("channel" not in each and each["code"] == WHOLE for each in errors):
        assert len(replies) == 1, "one error stands for the whole message"
        return done
    refused = [each["channel"] for each in errors if "channel" in each]
    rest = sum(each["count"] for each in errors if each["code"] == "more_errors")
    assert len(set(refused)) == len(refused)
    assert set(refused) <= requested - done
    assert len(refused) + rest == len(requested - done)
    return done


WHOLE = "channel_limit"
"""The error about a whole message: its list is too long."""
