"""A load test from its plan to what was measured: a crowd, events, and the accounts."""

import asyncio
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

from percolator.errors import GatewayError
from percolator.model.events import KINDS
from percolator_cli.gateway import GatewayAddress
from percolator_cli.loadtest.account import Accountant, expect
from percolator_cli.loadtest.client_pool import ClientPool
from percolator_cli.loadtest.measured import Measured, Sample
from percolator_cli.loadtest.plan import Plan, source_addresses
from percolator_cli.loadtest.reader import Reader
from percolator_cli.loadtest.reference import Reference
from percolator_cli.loadtest.sending import Sender

TICK_SECONDS = 0.005
"""Events that are due within this time are sent together."""
MOST_AT_ONCE = 500
FIRST_SECONDS = 5.0
"""For the first event to reach a client."""
QUIET_SECONDS = 2.0
"""When nothing has come for so long, what is missing will not come any more."""
DRAIN_SECONDS = 30.0
SAMPLE_SECONDS = 0.25
SPARE_DESCRIPTORS = 64


class Progress(NamedTuple):
    """How far a load test is: what it does, and the share of it that is done."""

    doing: str
    share: float
    deliveries: int = 0


Tell = Callable[[Progress], None]


class LoadTest:
    """One run against one gateway."""

    def __init__(
        self, plan: Plan, gateway: GatewayAddress, sender: Sender, token: str | None
    ) -> None:
        self.plan = plan
        self.measured = Measured(plan)
        self._gateway = gateway
        self._sender = sender
        self._crowd = ClientPool(gateway, token)
        self._references = {
            slab: Reference(slab, self.measured.latency, sender.sent_at) for slab in plan.slabs
        }
        self._sampled = 0.0

    async def run(self, per_address: int, tell: Tell) -> Measured:
        """Do all of it, and keep saying how far it is. Raises GatewayError, NatsError."""
        _raise_descriptor_limit(self.plan.connections)
        await self._crowd.find()
        await self._sender.start()
        try:
            await self._come_in(per_address, tell)
            await self._first_event()
            await self._publish(tell)
            await self._drain(tell)
            tell(Progress("checking", 1.0, self._deliveries))
            self._settle()
        finally:
            self._crowd.leave()
        return self.measured

    @property
    def _deliveries(self) -> int:
        return sum(reference.deliveries for reference in self._references.values())

    async def _come_in(self, per_address: int, tell: Tell) -> None:
        """Bring the crowd in, spread over the ramp."""
        wanted = self.plan.connections
        sources = source_addresses(self._gateway.host, per_address)
        done = 0

        def settled(_task: asyncio.Task[None]) -> None:
            nonlocal done
            done += 1
            tell(Progress("connecting", done / wanted))

        async with asyncio.TaskGroup() as group:
            for number in range(wanted):
                slab = self.plan.slab_of(number)
                since = 0 if self.plan.own else None
                visit = self._crowd.enter(
                    self.plan.channels(slab), next(sources), self._references[slab], since
                )
                group.create_task(visit).add_done_callback(settled)
                if self.plan.ramp:
                    await asyncio.sleep(self.plan.ramp / wanted)
        if not self._crowd.open:
            refusal = self._crowd.refusals.most_common(1)[0][0]
            raise GatewayError(
                f"the gateway at {self._gateway.http} lets nobody in: "
                f"{refusal.code}, {refusal.reason or 'no reason given'}"
            )

    async def _first_event(self) -> None:
        """Send one event, and see it arrive: the gateway may read from another NATS."""
        await self._sender.send(1)
        until = time.perf_counter() + FIRST_SECONDS
        while not self._deliveries:
            if self._sender.failure is not None:
                raise self._sender.failure
            if not self._crowd.present:
                why = self._crowd.ends.most_common(1)[0][0]
                raise GatewayError(
                    f"the clients of the gateway at {self._gateway.http} all lost their connection "
                    f"before the first event: {why.code}, {why.reason}"
                )
            if time.perf_counter() > until:
                raise GatewayError(
                    f"what is published does not reach the gateway at {self._gateway.http}: "
                    "name the NATS that it reads from with --nats-url"
                )
            await asyncio.sleep(TICK_SECONDS)

    async def _publish(self, tell: Tell) -> None:
        """Send the events at their pace."""
        plan, sender, clock = self.plan, self._sender, time.perf_counter
        total = int(plan.duration * plan.rate)
        processor, start = time.process_time(), clock()
        due_at = start
        while (now := clock()) < start + plan.duration:
            due = min(int((now - start) * plan.rate) + 1, total) - len(sender.sent)
            if due > 0:
                self.measured.send_lag.add(max(now - due_at, 0))
                await sender.send(min(due, MOST_AT_ONCE))
            self._sample(now - start, tell)
            next_one = start + len(sender.sent) / plan.rate
            due_at = min(max(next_one, now + TICK_SECONDS), start + plan.duration)
            await asyncio.sleep(max(due_at - clock(), 0))
        if 0 < total - len(sender.sent) <= MOST_AT_ONCE:
            await sender.send(total - len(sender.sent))
        self.measured.publishing = clock() - start
        self.measured.cpu = (time.process_time() - processor) / self.measured.publishing

    def _sample(self, elapsed: float, tell: Tell) -> None:
        if elapsed < self._sampled:
            return
        self._sampled = elapsed + SAMPLE_SECONDS
        deliveries = self._deliveries
        self.measured.samples.append(Sample(elapsed, len(self._sender.sent), deliveries))
        tell(Progress("publishing", elapsed / self.plan.duration, deliveries))
        for slab, reference in self._references.items():
            readers = [
                each.reader for each in self._crowd.present if each.reader.reference.slab == slab
            ]
            reference.trim(min((reader.needed for reader in readers), default=reference.end))

    async def _drain(self, tell: Tell) -> None:
        """Wait for what is under way: until all is there, or nothing comes any more."""
        await self._sender.wait_for_acks(len(self._sender.sent))
        start = heard = time.perf_counter()
        deliveries = 0
        while (now := time.perf_counter()) < start + DRAIN_SECONDS:
            if deliveries != self._deliveries:
                deliveries, heard = self._deliveries, now
            if now - heard > QUIET_SECONDS:
                return
            if all(self._is_complete(visitor.reader) for visitor in self._crowd.present):
                return
            tell(Progress("waiting for the last", 1.0, deliveries))
            await asyncio.sleep(TICK_SECONDS)

    def _is_complete(self, reader: Reader) -> bool:
        """Whether a client stands at the end, and that is the end of what was published."""
        return reader.index == reader.reference.count and all(
            track.last >= max(self._sender.seqs[reader.reference.slab, kind], default=0)
            for kind, track in reader.reference.tracks.items()
        )

    def _settle(self) -> None:
        """Put together what was measured."""
        measured, crowd, sender = self.measured, self._crowd, self._sender
        measured.opened = len(crowd.open)
        measured.handshakes, measured.refusals = crowd.handshakes, crowd.refusals
        measured.one_address = crowd.one_address
        measured.ended = crowd.ends
        measured.deliveries = self._deliveries
        for (_, kind), seqs in sender.seqs.items():
            measured.published[kind] += len(seqs)
        measured.unacknowledged = len(sender.sent) - sender.acknowledged
        accountants = {}
        for slab, reference in self._references.items():
            published = {kind: sender.seqs[slab, kind] for kind in KINDS}
            accountants[slab] = Accountant(expect(slab, published, reference), reference)
        for visitor in crowd.open:
            reader = visitor.reader
            measured.bytes += reader.bytes
            measured.account += accountants[reader.reference.slab].settle(
                reader, to_the_end=visitor.ended is None
            )


def _raise_descriptor_limit(connections: int) -> None:
    """Take as many descriptors as the system gives. Raises GatewayError where that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + SPARE_DESCRIPTORS:
        raise GatewayError(
            f"{connections} connections need more than the {hard} file descriptors that this "
            "process may have: raise its limit with ulimit -n, or lower --connections"
        )
