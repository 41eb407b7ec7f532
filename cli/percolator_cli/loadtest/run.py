"""Runs a load test: connects the clients, publishes the events and settles the accounts."""

import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from percolator.client.address import GatewayAddress
from percolator.errors import GatewayError
from percolator.model.channel import Channel
from percolator_cli.loadtest.account import Accountant, expect
from percolator_cli.loadtest.client_pool import ClientPool
from percolator_cli.loadtest.measured import Measured, Sample
from percolator_cli.loadtest.plan import Plan, channel_of, source_addresses
from percolator_cli.loadtest.reference import Reference
from percolator_cli.loadtest.sending import Sender

TICK_SECONDS = 0.005
"""Events that are due within this time are sent together."""
MAX_BATCH = 500
"""Maximum number of events sent together."""
FIRST_SECONDS = 5.0
"""Seconds for the first event to reach a client."""
QUIET_SECONDS = 2.0
"""Seconds without any delivery after which missing events count as lost."""
DRAIN_SECONDS = 30.0
"""Maximum seconds to wait for deliveries after the last event."""
SAMPLE_SECONDS = 0.25
SPARE_DESCRIPTORS = 64
"""File descriptors needed for anything but clients."""


class Progress(NamedTuple):
    """How far a load test is: the current phase, and the share of it that is done."""

    phase: str
    share: float
    deliveries: int = 0


OnProgress = Callable[[Progress], None]


class LoadTest:
    """One run against one gateway."""

    def __init__(
        self, plan: Plan, gateway: GatewayAddress, sender: Sender, token: str | None
    ) -> None:
        self.plan = plan
        self.measured = Measured(plan)
        self._gateway = gateway
        self._sender = sender
        self._pool = ClientPool(gateway, token)
        self._references = {
            slab: Reference(slab, self.measured.latency, sender.sent_at) for slab in plan.followed
        }
        self._sampled = 0.0

    async def run(self, per_address: int, on_progress: OnProgress) -> Measured:
        """Run the whole test and report progress. Raises GatewayError, NatsError."""
        _raise_descriptor_limit(self.plan.connections)
        await self._pool.resolve()
        await self._sender.start()
        try:
            await self._connect(per_address, on_progress)
            await self._first_event()
            await self._publish(on_progress)
            await self._drain(on_progress)
            on_progress(Progress("checking", 1.0, self._deliveries))
            self._settle()
        finally:
            self._pool.close()
        return self.measured

    @property
    def _deliveries(self) -> int:
        return sum(reference.deliveries for reference in self._references.values())

    async def _connect(self, per_address: int, on_progress: OnProgress) -> None:
        """Connect the clients, spread over the ramp."""
        wanted = self.plan.connections
        sources = source_addresses(self._gateway.host, per_address)
        done = 0

        def settled(_task: asyncio.Task[None]) -> None:
            nonlocal done
            done += 1
            on_progress(Progress("connecting", done / wanted))

        async with asyncio.TaskGroup() as group:
            for number in range(wanted):
                slab = self.plan.slab_of(number)
                since = 0 if self.plan.own and not self.plan.all_markets else None
                connecting = self._pool.add(
                    self.plan.channels(slab), next(sources), self._references[slab], since
                )
                group.create_task(connecting).add_done_callback(settled)
                if self.plan.ramp:
                    await asyncio.sleep(self.plan.ramp / wanted)
        if not self._pool.open:
            refusal = self._pool.refusals.most_common(1)[0][0]
            raise GatewayError(
                f"the gateway at {self._gateway.http} refuses every connection: "
                f"{refusal.code}, {refusal.reason or 'no reason given'}"
            )

    async def _first_event(self) -> None:
        """Send one event and wait until it arrives: the gateway may read from another NATS."""
        await self._sender.send(1)
        until = time.perf_counter() + FIRST_SECONDS
        first = channel_of(self.plan, 0)
        while not any(each.tracks[first].seqs for each in self._references.values()):
            if self._sender.failure is not None:
                raise self._sender.failure
            if not self._pool.connected:
                why = self._pool.ends.most_common(1)[0][0]
                raise GatewayError(
                    f"all clients of the gateway at {self._gateway.http} were disconnected "
                    f"before the first event: {why.code}, {why.reason}"
                )
            if time.perf_counter() > until:
                raise GatewayError(
                    f"published events do not reach the gateway at {self._gateway.http}: "
                    "set --nats-url to the NATS that the gateway reads from"
                )
            await asyncio.sleep(TICK_SECONDS)

    async def _publish(self, on_progress: OnProgress) -> None:
        """Send the events at their pace."""
        plan, sender, clock = self.plan, self._sender, time.perf_counter
        total = int(plan.duration * plan.rate)
        cpu_start, start = time.process_time(), clock()
        due_at = start
        while (now := clock()) < start + plan.duration:
            due = min(int((now - start) * plan.rate) + 1, total) - len(sender.sent)
            if due > 0:
                self.measured.send_lag.add(max(now - due_at, 0))
                await sender.send(min(due, MAX_BATCH))
            self._sample(now - start, on_progress)
            next_one = start + len(sender.sent) / plan.rate
            due_at = min(max(next_one, now + TICK_SECONDS), start + plan.duration)
            await asyncio.sleep(max(due_at - clock(), 0))
        if 0 < total - len(sender.sent) <= MAX_BATCH:
            await sender.send(total - len(sender.sent))
        self.measured.publishing = clock() - start
        self.measured.cpu = (time.process_time() - cpu_start) / self.measured.publishing

    def _sample(self, elapsed: float, on_progress: OnProgress) -> None:
        if elapsed < self._sampled:
            return
        self._sampled = elapsed + SAMPLE_SECONDS
        deliveries = self._deliveries
        self.measured.samples.append(Sample(elapsed, len(self._sender.sent), deliveries))
        on_progress(Progress("publishing", elapsed / self.plan.duration, deliveries))
        for slab, reference in self._references.items():
            readers = [
                each.reader for each in self._pool.connected if each.reader.reference.slab == slab
            ]
            reference.trim(min((reader.needed for reader in readers), default=reference.end))

    async def _drain(self, on_progress: OnProgress) -> None:
        """Wait until every client has everything, or nothing arrives any more."""
        await self._sender.wait_for_acks(len(self._sender.sent))
        start = last_arrival = time.perf_counter()
        deliveries = 0
        while (now := time.perf_counter()) < start + DRAIN_SECONDS:
            if deliveries != self._deliveries:
                deliveries, last_arrival = self._deliveries, now
            if now - last_arrival > QUIET_SECONDS:
                return
            if self._is_complete():
                return
            on_progress(Progress("waiting for events", 1.0, deliveries))
            await asyncio.sleep(TICK_SECONDS)

    def _is_complete(self) -> bool:
        """True if every client has every message, and these include the last events published."""
        readers = [client.reader for client in self._pool.connected]
        return all(reader.index == reader.reference.count for reader in readers) and all(
            reference.tracks[channel].last >= max(seqs, default=0)
            for reference in {reader.reference for reader in readers}
            for channel, seqs in self._published(reference).items()
        )

    def _published(self, reference: Reference) -> dict[Channel, Sequence[int]]:
        """Return the seqs that were published of what a reference has, by channel."""
        seqs = self._sender.seqs
        return {channel: seqs[channel] for channel in seqs if reference.covers(channel)}

    def _settle(self) -> None:
        """Collect the measurements and settle every client's account."""
        measured, pool, sender = self.measured, self._pool, self._sender
        measured.opened = len(pool.open)
        measured.handshakes, measured.refusals = pool.handshakes, pool.refusals
        measured.one_address = pool.one_address
        measured.ended = pool.ends
        measured.deliveries = self._deliveries
        measured.heartbeats, measured.stale = pool.heartbeats, pool.stale
        for channel, seqs in sender.seqs.items():
            measured.published[channel.kind.name] += len(seqs)
        measured.unacknowledged = len(sender.sent) - sender.acknowledged
        accountants = {}
        for slab, reference in self._references.items():
            expected = expect(self._published(reference), reference)
            accountants[slab] = Accountant(expected, reference)
        for client in pool.open:
            reader = client.reader
            measured.bytes += reader.bytes
            measured.account += accountants[reader.reference.slab].settle(
                reader, to_the_end=client.ended is None
            )


def _raise_descriptor_limit(connections: int) -> None:
    """Raise the file descriptor limit to its maximum. Raises GatewayError if that is too low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + SPARE_DESCRIPTORS:
        raise GatewayError(
            f"{connections} connections need more file descriptors than the limit of {hard}: "
            "raise it with ulimit -n, or lower --connections"
        )
