"""Publishes the events of a load test to JetStream, with many acknowledgements in flight.

It is no `Publisher`, which has a task per event: a load test publishes tens of thousands a second.
Like one, it gives each event a message id, and sends it again as long as JetStream knows the id.
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from array import array
from collections.abc import Iterable
from itertools import takewhile

import nats.errors
from nats.aio.msg import Msg

from percolator.errors import NatsError, NatsUnfitError, NatsUnreachableError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.publisher import TRANSIENT, UNACKNOWLEDGED, WINDOW_SHARE
from percolator.jetstream.stream import DUPLICATE_WINDOW
from percolator.model.channel import Channel
from percolator.model.kinds import MARKET, Market
from percolator_cli.loadtest.plan import PUBLISHED, Numbers, Plan, channel_of, subject
from percolator_cli.publishing import payload_of

IN_FLIGHT = 20_000
"""Maximum number of events without an acknowledgement."""
ACK_SECONDS = 2.0
"""Seconds without an acknowledgement after which an event is sent again."""
RETRY_SECONDS = WINDOW_SHARE * DUPLICATE_WINDOW
"""Seconds after which it is not: a load test's stream is expected to have the usual window."""
RETIRE_SECONDS = 2
"""Seconds that NATS has to take what ends a load test."""
_SEQ = re.compile(rb'"seq": ?(\d{1,15})\b')
_REASON = re.compile(rb'"description": ?"([^"]*)"')
_CODES = re.compile(rb'"(?:err_)?code": ?(\d{1,5})\b')
_PASSING = {503, *TRANSIENT}


async def retire(client: NatsClient, slabs: Iterable[str]) -> None:
    """Publish that markets of a load test are over, so that no gateway lists them any more.

    A failure is ignored: the test has its result, and the stream forgets its markets by itself. A
    stream of an older version, which has no subject for it, does not store it.
    """
    now = time.time_ns() // 1_000_000
    subjects = {slab: Channel(MARKET, slab).subject for slab in slabs}
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client.watch(refused, *subjects.values())  # otherwise the client would log a refusal
    with contextlib.suppress(nats.errors.Error, OSError):
        for slab, subject_of_slab in subjects.items():
            event = Market(status="retired", timestamp=now, slab=slab)
            await client.publish(subject_of_slab, payload_of(event))
        await client.flush(RETIRE_SECONDS)


class Sender:
    """Publishes a plan's events by their numbers and records when each was sent, and its seq."""

    def __init__(self, client: NatsClient, plan: Plan) -> None:
        self.sent = array("d")
        """When each event was sent, by `time.perf_counter`."""
        self.seqs: dict[Channel, array[int]] = {
            Channel(kind, slab): array("q") for slab in plan.slabs for kind in PUBLISHED
        }
        """Seqs of the acknowledged events, by channel, in the order of their acks."""
        self.acknowledged = 0
        self.failure: NatsError | None = None
        """Why JetStream rejects the events."""
        self._client = client
        self._plan = plan
        self._numbers = Numbers()
        self._inbox = client.new_inbox()
        self._run = secrets.token_hex(8)
        self._waiting: dict[int, float] = {}
        """When each event that is not acknowledged was last sent, the oldest first."""
        self._acked = asyncio.Event()
        self._refusal: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Subscribe to the acknowledgements."""
        channels = (Channel(kind, slab) for slab in self._plan.slabs for kind in PUBLISHED)
        inbox, subjects = f"{self._inbox}.*", (channel.subject for channel in channels)
        self._client.watch(self._refusal, inbox, *subjects)
        self._refusal.add_done_callback(self._on_refusal)
        await self._client.subscribe(inbox, cb=self._on_ack)

    async def send(self, count: int) -> None:
        """Send the next `count` events. Raises NatsError if JetStream has rejected one."""
        if self.failure is not None:
            raise self.failure
        await self._send_again()
        while len(self.sent) - self.acknowledged > IN_FLIGHT:
            if not await self.wait_for_acks(len(self.sent) - IN_FLIGHT):
                raise self._silence()
        now = time.perf_counter()
        for number in range(len(self.sent), len(self.sent) + count):
            self.sent.append(now)
            await self._send(number, now)

    async def wait_for_acks(self, wanted: int) -> bool:
        """Wait for this number of acks. Returns False if they do not come within RETRY_SECONDS."""
        while self.acknowledged < wanted and self.failure is None:
            self._acked.clear()
            try:
                await asyncio.wait_for(self._acked.wait(), ACK_SECONDS)
            except TimeoutError:
                await self._send_again()
                if not self._waiting:
                    return False
        return self.failure is None

    async def _send_again(self) -> None:
        """Send those events again that have waited for an ack for too long, and give up the oldest.

        A price that is sent again has a new timestamp, so that it is still the latest.
        """
        now = time.perf_counter()
        overdue = takewhile(lambda item: now - item[1] > ACK_SECONDS, self._waiting.items())
        for number, _ in list(overdue):
            if self._waiting.pop(number, None) and now - self.sent[number] < RETRY_SECONDS:
                await self._send(number, now)

    async def _send(self, number: int, now: float) -> None:
        self._waiting[number] = now
        if self._client.is_closed:
            raise NatsUnreachableError("the connection to NATS was lost")
        if not self._client.is_connected:
            return  # it is sent once there is a connection
        kind = channel_of(self._plan, number).kind
        timestamp = time.time_ns() // 1_000_000
        with contextlib.suppress(nats.errors.Error, OSError):  # the connection has just been lost
            await self._client.publish(
                subject(self._plan, number),
                json.dumps(self._numbers.event(number, kind) | {"timestamp": timestamp}).encode(),
                reply=f"{self._inbox}.{number}",
                headers={"Nats-Msg-Id": f"{self._run}-{number}"},
            )

    def sent_at(self, field: str, text: str) -> float | None:
        """Return when an event was sent, by the number in its `size` or `rate`."""
        numbers = self._numbers
        number = numbers.of_size(text) if field == "size" else numbers.of_rate(text)
        return self.sent[number] if number is not None and number < len(self.sent) else None

    def _on_refusal(self, refused: asyncio.Future[None]) -> None:
        """NATS does not permit the events, or their acknowledgements."""
        self.failure = NatsUnreachableError(f"{UNACKNOWLEDGED}: {refused.exception()}")
        self._acked.set()

    async def _on_ack(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        found = _SEQ.search(message.data)
        if found is None:
            if self._is_final(message):
                self.failure = self.failure or self._refused(message)
        elif self._waiting.pop(number, None) is not None:
            self.seqs[channel_of(self._plan, number)].append(int(found[1]))
            self.acknowledged += 1
        self._acked.set()

    def _is_final(self, message: Msg) -> bool:
        """Return whether sending the event again cannot help.

        While a stream is between two leaders, nothing answers.
        """
        if not message.data:
            return not self.acknowledged
        return _PASSING.isdisjoint(map(int, _CODES.findall(message.data)))

    def _silence(self) -> NatsError:
        return self.failure or NatsUnreachableError("JetStream stopped acknowledging events")

    def _refused(self, message: Msg) -> NatsError:
        if not message.data:
            return NatsUnfitError(
                f"no stream accepts {subject(self._plan, 0)}: start a gateway once to create it"
            )
        found = _REASON.search(message.data)
        reason = found[1].decode(errors="replace") if found else "no reason given"
        return NatsUnfitError(f"JetStream rejected an event: {reason}")
