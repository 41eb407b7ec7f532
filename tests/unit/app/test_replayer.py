"""Replayer: a replay serves the resume that asked for it, and no other of the same client."""

import asyncio
import logging

import pytest

from percolator.app import replayer
from percolator.app.replayer import Replayer
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.reader import Start
from percolator.jetstream.direct import Stored
from percolator.jetstream.replay import Page
from percolator.model.times import MAX_AHEAD_MS
from tests.channels import STORED_MS, channel, stored, subject_of
from tests.gateway import event_json, eventually
from tests.unit.fanout.harness import Client, HubHarness

SEQS = {"trades:A": [1, 3, 5, 7, 9, 11], "trades:B": [2, 4, 6, 8, 10, 12]}
A, B = (subject_of("trade", slab) for slab in "AB")


class Source:
    """A stream that answers each request only when the test says so."""

    connected = True

    def __init__(self) -> None:
        self.timestamps: dict[int, int] = {}
        """Those of events that have another one than the time at which they were stored."""
        self.lost: frozenset[int] = frozenset()
        """Seqs of events before which some may be lost."""
        self._asked: list[tuple[str, asyncio.Event]] = []

    async def page(self, subject: str, after: int, last: Stored | None) -> Page:
        """Return all events after a seq."""
        answer = asyncio.Event()
        self._asked.append((subject, answer))
        await answer.wait()
        channel = "trades:A" if subject == A else "trades:B"
        events = [self.stored(seq, subject) for seq in SEQS[channel]]
        left = [event for event in events if event.seq > after]
        page = Page(left, last, whole=True, first=last is None, end=not left)
        return page._replace(lost=self.lost)

    def stored(self, seq: int, subject: str) -> Stored:
        """Return the event of a seq."""
        payload = event_json("trade", timestamp=self.timestamps.get(seq, STORED_MS))
        return stored(seq, subject, payload)

    def open_requests(self) -> int:
        """Return how many requests are open."""
        return len(self._asked)

    def answer(self, subject: str) -> None:
        """Answer the oldest open request about a subject."""
        asked = next(one for one in self._asked if one[0] == subject)
        self._asked.remove(asked)
        asked[1].set()


class ReplayScenario:
    """Two markets whose logs hold only the newest events, and a client that resumes."""

    def __init__(self) -> None:
        self.harness = HubHarness(capacity=2)
        self.source = Source()
        self.cpu = 0.0
        self.replayer = Replayer(self.harness.hub, self.source, cpu=lambda: self.cpu)
        self.client = Client(self.harness.hub)
        for seq in range(1, 13):
            self.harness.publish(seq, slab="A" if seq % 2 else "B")

    async def resume(
        self, *channels: str, client: Client | None = None, address: str = "192.0.2.1"
    ) -> None:
        """Resume some channels from the beginning."""
        cursor = (client or self.client).cursor
        held = []
        for name in channels:
            resumed = self.harness.hub.subscribe(cursor, channel(name), Start(0, "e"))
            assert isinstance(resumed.replaying, LosslessLog)
            held.append(resumed.replaying)
        self.replayer.start(cursor, held, None, address)
        await self.turn()

    async def again(self, name: str) -> None:
        """Unsubscribe from a channel, and resume it again."""
        self.harness.hub.unsubscribe(self.client.cursor, channel(name))
        await self.resume(name)

    async def answer(self, *subjects: str) -> None:
        """Answer requests, one after the other."""
        for subject in subjects:
            self.source.answer(subject)
            await self.turn()

    async def turn(self) -> None:
        """Run the tasks that can go on, and flush."""
        for _ in range(20):
            await asyncio.sleep(0)
            self.harness.flush()

    def got(self, channel: str) -> list[int | str]:
        """Return the messages of a channel since the last call."""
        return [
            message["seq"] if "seq" in message else message["type"]
            for message in self.client.got
            if channel in (message.get("channel"), f"trades:{message.get('slab')}")
        ]


async def test_a_channel_that_is_resumed_twice_has_no_gap() -> None:
    """The end of the first replay does not end the second."""
    scene = ReplayScenario()
    await scene.resume("trades:A")
    await scene.again("trades:A")
    await scene.answer(A, A)
    assert scene.got("trades:A") == SEQS["trades:A"]
    assert scene.replayer.running == 0


async def test_what_may_be_lost_between_the_events_of_a_page_is_a_gap() -> None:
    """Right before the event that follows; it does not say which event came before it."""
    scene = ReplayScenario()
    first, second, third, *rest = SEQS["trades:A"]
    scene.source.lost = frozenset({second})
    await scene.resume("trades:A")
    await scene.answer(A)
    _, gap, after, later, *others = scene.client.got
    assert (gap["type"], gap["from"], gap["to"]) == ("gap", first, second)
    assert [(one["seq"], one["prev"]) for one in (after, later)] == [
        (second, None),
        (third, second),
    ]
    assert [one["seq"] for one in others] == rest


async def test_a_replay_skips_a_channel_that_a_newer_replay_serves() -> None:
    """The second channel of a request was resumed again before its turn."""
    scene = ReplayScenario()
    await scene.resume("trades:A", "trades:B")
    await scene.again("trades:B")
    await scene.answer(A, B)
    assert scene.got("trades:B") == SEQS["trades:B"]
    assert scene.replayer.running == 0


async def test_a_replay_judges_a_time_by_when_the_event_was_stored() -> None:
    """As the feed did, however long ago that was."""
    scene = ReplayScenario()
    scene.source.timestamps = {3: STORED_MS + MAX_AHEAD_MS, 5: STORED_MS + MAX_AHEAD_MS + 1}
    await scene.resume("trades:A")
    await scene.answer(A)
    assert scene.got("trades:A") == [1, 3, 7, 9, 11]


async def test_clients_that_do_not_read_hold_no_place_that_others_need() -> None:
    """However many there are, the next client gets its page."""
    scene = ReplayScenario()
    slow = [Client(scene.harness.hub) for _ in range(20)]
    for client in slow:
        client.room = 1
        await scene.resume("trades:A", client=client)
    while scene.source.open_requests():
        await scene.answer(A)
    assert all(client.cursor.paused for client in slow)
    await scene.resume("trades:A")
    assert scene.source.open_requests() == 1
    await scene.answer(A)
    assert scene.got("trades:A") == SEQS["trades:A"]


async def test_no_page_is_fetched_for_a_client_that_does_not_read() -> None:
    """The fetch waits until its buffer has drained."""
    scene = ReplayScenario()
    scene.harness.hub.pause(scene.client.cursor)
    await scene.resume("trades:A")
    assert scene.source.open_requests() == 0
    scene.harness.hub.resume(scene.client.cursor)
    await scene.turn()
    await scene.answer(A)
    assert scene.got("trades:A") == SEQS["trades:A"]


async def test_pages_are_fetched_in_turn_by_address() -> None:
    """An address with many clients does not keep one with a single client waiting."""
    scene = ReplayScenario()
    for _ in range(2 * replayer.MAX_FETCHES):
        await scene.resume("trades:A", client=Client(scene.harness.hub))
    await scene.resume("trades:B", address="192.0.2.2")
    assert scene.source.open_requests() == replayer.MAX_FETCHES
    await scene.answer(A, A, B)
    assert scene.got("trades:B") == SEQS["trades:B"]


async def test_a_slot_rests_after_a_page_that_took_cpu_time() -> None:
    """So replays leave most of the CPU to clients that keep up."""
    scene = ReplayScenario()
    for _ in range(replayer.MAX_FETCHES):
        await scene.resume("trades:A", client=Client(scene.harness.hub))
    await scene.resume("trades:B", address="192.0.2.2")
    scene.cpu += 0.01
    began = asyncio.get_running_loop().time()
    await scene.answer(*[A] * replayer.MAX_FETCHES)
    assert scene.source.open_requests() == 0
    await eventually(lambda: scene.source.open_requests() > 0)
    assert asyncio.get_running_loop().time() - began >= 0.01 * replayer.REST


async def test_a_client_has_one_replay_at_a_time() -> None:
    """A second request waits for the first, so no client holds more than one page."""
    scene = ReplayScenario()
    await scene.resume("trades:A")
    await scene.resume("trades:B")
    assert (scene.source.open_requests(), scene.replayer.running, scene.replayer.total) == (1, 1, 2)
    await scene.answer(A, B)
    assert scene.got("trades:A") == SEQS["trades:A"]
    assert scene.replayer.running == 0


async def test_requests_for_channels_that_a_client_has_left_do_not_pile_up() -> None:
    """Even while no page comes."""
    scene = ReplayScenario()
    await scene.resume("trades:A")
    await scene.resume("trades:B")
    for _ in range(100):
        await scene.again("trades:B")
    assert [len(requests) for requests in scene.replayer._requests.values()] == [2]
    await scene.answer(A, B)
    assert scene.got("trades:B") == SEQS["trades:B"]


async def test_a_client_that_leaves_while_it_waits_leaves_nothing() -> None:
    """Whether it waits for a page or for its turn."""
    scene = ReplayScenario()
    clients = [Client(scene.harness.hub) for _ in range(2 * replayer.MAX_FETCHES)]
    for client in clients:
        await scene.resume("trades:A", client=client)
    for client in clients:
        scene.harness.hub.remove(client.cursor)
    while scene.source.open_requests():
        await scene.answer(A)
    assert scene.replayer.running == 0


async def test_a_replay_logs_its_start_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """Per channel, at debug level, with the events sent from the stream."""
    scene = ReplayScenario()
    with caplog.at_level(logging.DEBUG, logger=replayer.__name__):
        await scene.resume("trades:A")
        await scene.answer(A)
    started, ended = caplog.messages
    assert started == "replay of trades:A started after seq 0"
    assert ended == "replay of trades:A ended at seq 11, 6 events sent"
