"""Real input: the recorded market passes through NATS to many clients, complete and in order."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pytest

from percolator.app import recording
from percolator.model.channel import Channel
from tests.channels import KIND_NAMES, channel_of
from tests.client import Client, Message
from tests.gateway import Gateway

CLIENTS = 20
CHANNELS = [channel_of(kind, slab).name for slab in recording.SLABS for kind in KIND_NAMES]
START = re.compile(rb'\{"type":"(\w+)","slab":"(\w+)"')

Published = dict[str, dict[int, Message]]
"""The published events by channel and seq, in order of publication."""


async def play_to(gateway: Gateway, clients: Sequence[Client], speed: float) -> Published:
    """Publish the recording, and wait until every client has received all of it."""
    published: Published = defaultdict(dict)
    seqs: list[int] = []

    async def publish(subject: str, payload: bytes, _message_id: str) -> None:
        place = len(seqs)
        seqs.append(0)
        seqs[place] = seq = await gateway.publish_raw(subject, payload)
        channel = Channel.of_subject(subject)
        assert channel is not None
        published[channel.name][seq] = json.loads(payload)

    count = await recording.play(publish, speed=speed)
    assert (
        count
        == sum(map(len, published.values()))
        == len([*recording.with_funding(recording.recording())])
    )
    assert seqs == sorted(seqs)
    for client in clients:
        await arrival(client, [max(events) for events in published.values()])
    return published


async def arrival(client: Client, seqs: Sequence[int]) -> None:
    """Wait until a client has received all events with the given seqs."""
    missing = {f'"seq":{seq}'.encode() for seq in seqs}
    looked_at = 0

    def complete() -> bool:
        nonlocal looked_at
        news = b"\n".join(client.texts[looked_at:])
        looked_at = len(client.texts)
        missing.difference_update(re.findall(rb'"seq":[0-9]+', news))
        return not missing

    await client.until(complete)


def by_channel(client: Client) -> dict[str, list[bytes]]:
    """Sort a client's messages by channel and seq; every message must be an event."""
    found = defaultdict(list)
    greetings = 2
    for text in client.texts[greetings:]:
        start = START.match(text)
        assert start, text
        found[start.group()].append(text)
    return {
        f"{kind.decode()}{'s' * (kind == b'trade')}:{slab.decode()}": texts
        for texts in found.values()
        for kind, slab in START.findall(texts[0])
    }


def check(clients: Sequence[Client], published: Published) -> None:
    """Check that each client has every trade and rate, once and in order, and the last price."""
    received = [by_channel(client) for client in clients]
    for channel, events in published.items():
        if channel.startswith("price"):
            for texts in received:
                check_prices([json.loads(text) for text in texts[channel]], events)
        else:
            check_lossless([json.loads(text) for text in received[0][channel]], events)
            assert all(texts[channel] == received[0][channel] for texts in received)


def check_lossless(messages: list[Message], events: dict[int, Message]) -> None:
    """Check that all events came, in order and in one unbroken chain."""
    assert [message["seq"] for message in messages] == list(events)
    assert [message["prev"] for message in messages] == [0, *events][:-1]
    for message in messages:
        assert message.items() >= events[message["seq"]].items()


def check_prices(messages: list[Message], events: dict[int, Message]) -> None:
    """Check that some prices came, in order, up to the last."""
    assert all(before["seq"] < after["seq"] for before, after in pairwise(messages))
    assert messages[-1]["seq"] == max(events)
    for message in messages:
        assert message.items() >= events[message["seq"]].items()


async def test_the_recording_at_full_speed_reaches_every_client_complete(gateway: Gateway) -> None:
    """39,797 recorded events without pauses, to 20 clients."""
    clients = await gateway.clients(CLIENTS, *CHANNELS)
    check(clients, await play_to(gateway, clients, speed=0))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_recording_at_ten_times_its_speed_reaches_every_client_complete(
    gateway: Gateway,
) -> None:
    """With its bursts and its pauses, in 34 s."""
    clients = await gateway.clients(CLIENTS, *CHANNELS)
    check(clients, await play_to(gateway, clients, speed=10))
