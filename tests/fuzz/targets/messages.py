"""Messages from a client."""

import json
from typing import Any

from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from tests.channels import stored
from tests.client import upgrade
from tests.fuzz.bench import Bench, ClientSocket
from tests.fuzz.targets.target import (
    bench_of,
    channels,
    end_by_sweep,
    json_values,
    market_channels,
    mostly,
    slabs,
)
from tests.gateway import event_json

FINAL = frozenset({"subscribed", "unsubscribed", "pong", "authenticated"})
LOSSLESS = frozenset({"trade", "funding"})
EVENTS = LOSSLESS | {"price", "gap"}
odd_channels = st.sampled_from(
    ["price", "price:", "price:X:junk", "trade:SOL", "trade:*", "*:*", "price:**", "\x00", "é:é"]
)
ids = mostly(st.none() | st.integers(-5, 5) | st.text(max_size=5), json_values)
sinces = mostly(
    st.integers(0, 40) | st.dictionaries(channels, st.integers(0, 40), max_size=3), json_values
)
lists = st.lists(mostly(channels, odd_channels | json_values), max_size=8)
messages = st.fixed_dictionaries(
    {"type": mostly(st.sampled_from(["subscribe", "unsubscribe", "ping", "auth"]), json_values)},
    optional={
        "channels": mostly(lists, json_values),
        "slabAddress": mostly(slabs, json_values),
        "since": sinces,
        "epoch": mostly(st.sampled_from(["e", "other"]), json_values),
        "recent": mostly(st.integers(0, 10), json_values),
        "id": ids,
        "token": mostly(st.sampled_from(["good", "narrow", "bad"]), json_values),
    },
)
texts = mostly(messages.map(json.dumps), json_values.map(json.dumps) | st.text(max_size=60))
steps = st.one_of(
    st.tuples(st.just("send"), texts),
    st.tuples(st.just("publish"), market_channels),
    st.tuples(st.just("flush"), st.none()),
    st.tuples(st.just("block"), st.booleans()),
    st.tuples(st.just("wait"), st.floats(0, 2)),
)


def check_messages(example: tuple[bool, list[tuple[str, Any]]]) -> None:
    """Expect one final reply per request, or only errors, with its id; no unrequested events.

    Each event of a lossless channel comes once and in order, also to one that follows a market both
    by name and by a wildcard.
    """
    auth, script = example
    with bench_of("messages with auth" if auth else "messages") as bench:
        _check_messages(bench, script)


def _check_messages(bench: Bench, script: list[tuple[str, Any]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    assert [each["type"] for each in client.receive()] == ["connected"]
    seqs: dict[tuple[str, str], int] = {}
    for what, value in script:
        if client.close_code is not None:
            break
        match what:
            case "send":
                _send_request(bench, client, value, seqs)
            case "publish":
                _publish(bench, value)
            case "block" if value:
                client.connection.pause_writing()
            case "block":
                client.connection.resume_writing()
            case "wait":
                bench.now += value
        if what != "send":
            bench.hub.flush()
            client.read()
            received = client.receive()
            assert {each["type"] for each in received} <= EVENTS
            _check_order(received, seqs)
    bench.metrics()
    end_by_sweep(bench, client)


def _check_order(received: list[Any], seqs: dict[tuple[str, str], int]) -> None:
    """Expect ascending seqs per market; after an unsubscribe, a channel may start again."""
    for each in received:
        if each["type"] == "unsubscribed":
            seqs.clear()
        elif each["type"] in LOSSLESS and not each.get("snapshot"):
            of = each["type"], each["slab"]
            assert each["seq"] > seqs.get(of, 0), (each, seqs)
            seqs[of] = each["seq"]


def _send_request(
    bench: Bench, client: ClientSocket, text: str, seqs: dict[tuple[str, str], int]
) -> None:
    for name, token in (("good", bench.token("*")), ("narrow", bench.token("price:*"))):
        text = text.replace(f'"token": "{name}"', f'"token": "{token}"')
    payload = text.encode("utf-8", "surrogatepass")
    client.send(Frame(Opcode.TEXT, payload).serialize(mask=True))
    replies = client.receive()
    if client.close_code is not None:
        return
    _check_order(replies, seqs)
    kinds = [each["type"] for each in replies]
    assert sum(kind in FINAL for kind in kinds) == 1 or set(kinds) == {"error"}, (text, replies)
    assert kinds[-1] in FINAL | {"error"}
    request = json.loads(text) if _is_json(text) else None
    expected_id = request.get("id") if isinstance(request, dict) else None
    for reply in replies:
        assert reply.get("id") in (expected_id, None)
        assert len(str(reply.get("channel", ""))) <= 64


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _publish(bench: Bench, channel: str) -> None:
    kind, _, slab = channel.partition(":")
    name: Any = "trade" if kind == "trades" else kind
    bench.intake.take(stored(bench.hub.book.seq + 1, f"percolator.{name}.{slab}", event_json(name)))
