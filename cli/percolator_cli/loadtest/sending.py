"""Publishes the events of a load test to JetStream, with many acknowledgements in flight."""

import asyncio
import contextlib
import json
import re
import time
from array import array
from collections.abc import Iterable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from percolator.errors import NatsError, NatsUnfitError, NatsUnreachableError
from percolator.model.channel import Channel
from percolator.model.kinds import MARKET, Market
from percolator_cli.loadtest.plan import PUBLISHED, Numbers, Plan, channel_of, subject
from percolator_cli.publishing import payload_of

IN_FLIGHT = 20_000
"""Maximum number of events without an acknowledgement."""
ACK_SECONDS = 5.0
"""Maximum seconds between two acknowledgements."""
RETIRE_SECONDS = 2
"""Seconds that NATS has to take what ends a load test."""
_SEQ = re.compile(rb'"seq": ?(\d{1,15})\b')
_REASON = re.compile(rb'"description": ?"([^"]*)"')


async def retire(client: Client, slabs: Iterable[str]) -> None:
    """Publish that markets of a load test are over, so that no gateway lists them any more.

    A failure is ignored: the test has its result, and the stream forgets its markets by itself. A
    stream of an older version, which has no subject for it, does not store it.
    """
    now = time.time_ns() // 1_000_000
    with contextlib.suppress(nats.errors.Error, OSError):
        for slab in slabs:
            event = Market(status="retired", timestamp=now, slab=slab)
            await client.publish(Channel(MARKET, slab).subject, payload_of(event))
        await client.flush(RETIRE_SECONDS)


class Sender:
    """Publishes a plan's events by their numbers and records when each was sent, and its seq."""

    def __init__(self, client: Client, plan: Plan) -> None:
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
        self._acked = asyncio.Event()

    async def start(self) -> None:
        """Subscribe to the acknowledgements."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    async def send(self, count: int) -> None:
        """Send the next `count` events. Raises NatsError if JetStream has rejected one."""
        if self.failure is not None:
            raise self.failure
        while len(self.sent) - self.acknowledged > IN_FLIGHT:
            if not await self.wait_for_acks(len(self.sent) - IN_FLIGHT):
                raise self._silence()
        now = time.perf_counter()
        timestamp = time.time_ns() // 1_000_000
        for number in range(len(self.sent), len(self.sent) + count):
            kind = channel_of(self._plan, number).kind
            fields = self._numbers.event(number, kind) | {"timestamp": timestamp}
            self.sent.append(now)
            try:
                await self._client.publish(
                    subject(self._plan, number),
                    json.dumps(fields).encode(),
                    reply=f"{self._inbox}.{number}",
                )
            except (nats.errors.Error, OSError):
                raise NatsUnreachableError("the connection to NATS was lost") from None

    async def wait_for_acks(self, wanted: int) -> bool:
        """Wait for this number of acks. Returns False if none arrives for ACK_SECONDS."""
        while self.acknowledged < wanted and self.failure is None:
            self._acked.clear()
            try:
                await asyncio.wait_for(self._acked.wait(), ACK_SECONDS)
            except TimeoutError:
                return False
        return self.failure is None

    def sent_at(self, field: str, text: str) -> float | None:
        """Return when an event was sent, by the number in its `size` or `rate`."""
        numbers = self._numbers
        number = numbers.of_size(text) if field == "size" else numbers.of_rate(text)
        return self.sent[number] if number is not None and number < len(self.sent) else None

    async def _on_ack(self, message: Msg) -> None:
        found = _SEQ.search(message.data)
        if found is None:
            self.failure = self.failure or self._refused(message)
        else:
            number = int(message.subject.rpartition(".")[2])
            self.seqs[channel_of(self._plan, number)].append(int(found[1]))
            self.acknowledged += 1
        self._acked.set()

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
