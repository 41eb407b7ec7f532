"""The checks of a gateway's limits: each one reaches a limit and then exceeds it by one.

Up to the limit everything must be accepted and beyond it nothing. A place that becomes free must
be available again.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection

from percolator.client.channel import Channel
from percolator.client.requests import subscribes
from percolator.model.channel import ALL
from percolator.model.closes import CLOSE_SILENT, CloseCode
from percolator.model.server_messages import Limits, Pong, Refused, Subscribed
from percolator_cli.loadtest.limit_probe import (
    LimitProbe,
    ask,
    read_chain,
    send_many,
    subscribe,
    until,
    was_closed_for_policy,
)
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.pacing import paced
from percolator_cli.loadtest.plan import own_slabs

SLACK_SECONDS = 3.0
"""Seconds by which a timing may be off."""
POLL_SECONDS = 0.05
WAIT_SECONDS = 2.0
"""Seconds that messages over the rate are made to wait."""
SLACK = 3
"""Requests that a token bucket may accept beyond its burst, as it refills during the check."""


class RefusedError(Exception):
    """A connection that a check needs was refused."""


@dataclass
class LimitChecks:
    """One check per limit. Each returns whether the limit held, and what was observed."""

    probe: LimitProbe
    limits: Mapping[str, float]
    """The limits as in the gateway's stats."""
    stats: Callable[[], Awaitable[Mapping[str, Any]]]
    """Fetches the gateway's stats."""
    flood: Callable[[str], Awaitable[int]] | None
    """Publishes thousands of trades of a market and returns the last seq."""
    slab: str = field(default_factory=lambda: own_slabs(1)[0])

    async def per_address(self) -> tuple[bool, str]:
        """Connections from one IP address."""
        limit = int(self.limits["maxConnectionsPerIp"])
        source = next(self.probe.sources)
        opened = [await self.probe.open(source) for _ in range(limit)]
        return await self._one_more(opened, limit, lambda: self.probe.open(source))

    async def per_slab(self) -> tuple[bool, str]:
        """Clients that follow one market."""
        limit = int(self.limits["maxConnectionsPerSlab"])
        return await self._followers(limit, f"price:{self.slab}", f"trades:{self.slab}")

    async def wildcards(self) -> tuple[bool, str]:
        """Clients that follow all markets, with those that do so already."""
        limit = int(self.limits["maxWildcardConnections"])
        room = limit - (await self.stats())["connectionsPerSlab"].get(ALL, 0)
        return await self._followers(room, "funding:*", "liquidations:*")

    async def _followers(self, limit: int, name: str, another: str) -> tuple[bool, str]:
        """Clients of a market; the one too many uses another of its channels."""
        clients, _ = await self.probe.open_many(limit + 1)
        if len(clients) <= limit:
            return False, f"only {len(clients)} connections could be opened"
        replies = [await subscribe(each, [name]) for each in clients[:limit]]
        accepted = sum(isinstance(each, Subscribed) for each in replies)
        refused = await subscribe(clients[limit], [another])
        is_right = isinstance(refused, Refused) and refused.code == "slab_limit"
        end = await until(clients[limit], Subscribed)
        is_right = is_right and was_closed_for_policy(end)
        return accepted == limit and is_right, f"{accepted:,} accepted, one more: {_words(end)}"

    async def total(self) -> tuple[bool, str]:
        """Connections in total."""
        limit = int(self.limits["maxGlobalConnections"])
        room = limit - (await self.stats())["totalConnections"]
        clients, refusals = await self.probe.open_many(room)
        opened: list[ClientConnection | Refusal] = [*clients, *refusals]
        return await self._one_more(opened, room, lambda: self.probe.open(next(self.probe.sources)))

    async def channels(self) -> tuple[bool, str]:
        """Channels that one client follows."""
        limit = int(self.limits["maxChannelsPerClient"])
        client = await self._open_one()
        names = [f"trades:{self.slab}-{number}" for number in range(limit)]
        told = self._told()
        for request, pause in paced(subscribes(map(Channel, names), told), told):
            await asyncio.sleep(pause)
            reply = await ask(client, request)
            if not isinstance(reply, Subscribed):
                return False, f"fewer than {limit} channels accepted: {_words(reply)}"
        refused = await subscribe(client, [f"trades:{self.slab}-more"])
        held = isinstance(refused, Refused) and refused.code == "channel_limit"
        return held, f"{limit} channels accepted, one more: {_words(refused)}"

    async def message_size(self) -> tuple[bool, str]:
        """A message of exactly this size, and one that is a byte longer."""
        limit = int(self.limits["maxMessageBytes"])
        client = await self._open_one()
        fits = await ask(client, '{"type":"ping"}'.ljust(limit))
        refused = await ask(client, '{"type":"ping"}'.ljust(limit + 1))
        held = isinstance(refused, Refusal) and refused.code == str(CloseCode.TOO_BIG.value)
        is_right = isinstance(fits, Pong)
        return is_right and held, f"{limit:,} bytes: {_words(fits)}, one more: {_words(refused)}"

    async def message_burst(self) -> tuple[bool, str]:
        """Messages sent at once: the burst is answered at once, and the rest waits for the rate."""
        burst, rate = int(self.limits["messageBurst"]), self.limits["messagesPerSec"]
        over = math.ceil(rate * WAIT_SECONDS) + 1
        text = '{"type":"ping"}'.ljust(int(min(self.limits["maxMessageBytes"] or 256, 256)))
        client = await self._open_one()
        start = time.monotonic()
        sending = asyncio.create_task(send_many(client, text, burst + over))
        answered, reply = 0, await until(client, Pong, Refused)
        while isinstance(reply, Pong) and (answered := answered + 1) < burst + over:
            reply = await until(client, Pong, Refused)
        await sending
        elapsed, due = time.monotonic() - start, (over - 1) / rate
        held = answered == burst + over and due <= elapsed + POLL_SECONDS <= due + SLACK_SECONDS
        seen = f"{answered} answered in {elapsed:.1f} s, {due:.1f} s expected"
        return held, seen if answered == burst + over else f"{seen}, then {_words(reply)}"

    async def attempt_burst(self) -> tuple[bool, str]:
        """Connection attempts from one IP address at once."""
        burst, rate = int(self.limits["attemptBurst"]), self.limits["attemptsPerSec"]
        source = next(self.probe.sources)
        start = time.monotonic()
        accepted = 0
        result: ClientConnection | Refusal = Refusal("none", "")
        while accepted <= 10 * burst:
            result = await self.probe.open(source)
            if isinstance(result, Refusal) and result.code.startswith("HTTP"):
                break
            accepted += 1
            if not isinstance(result, Refusal):
                await self.probe.close_one()
        limit = burst + rate * (time.monotonic() - start) + SLACK
        is_right = isinstance(result, Refusal) and result.code == "HTTP 429"
        held = is_right and burst <= accepted <= limit
        return held, f"{accepted} accepted, then {_words(result)}"

    async def first_message(self) -> tuple[bool, str]:
        """A client that sends nothing is disconnected in time."""
        seconds = self.limits["subscribeTimeoutSeconds"]
        client = await self._open_one()
        start = time.monotonic()
        try:
            async with asyncio.timeout(seconds + 2 * SLACK_SECONDS):
                await client.wait_closed()
        except TimeoutError:
            return False, f"still open after {time.monotonic() - start:.0f} s"
        elapsed = time.monotonic() - start
        is_right = client.close_reason == CLOSE_SILENT.reason
        held = is_right and abs(elapsed - seconds) <= SLACK_SECONDS
        return held, f"closed with {client.close_code} after {elapsed:.0f} s"

    async def slow_client(self) -> tuple[bool, str]:
        """A client that does not read is skipped, and later told what it missed."""
        assert self.flood is not None
        behind = (await self.stats())["clientsBehind"]
        client = await self.probe.open(next(self.probe.sources), slow=True)
        if isinstance(client, Refusal):
            raise RefusedError(_words(client))
        await subscribe(client, [f"trades:{self.slab}"])
        last_seq = await self.flood(self.slab)
        deadline = time.monotonic() + SLACK_SECONDS
        while (skipped := (await self.stats())["clientsBehind"] - behind) < 1:
            if time.monotonic() > deadline:
                return False, "never skipped"
            await asyncio.sleep(POLL_SECONDS)
        got, unannounced, gaps = await read_chain(client, last_seq)
        held = skipped == 1 and not unannounced
        return held, f"skipped, then got {got:,} trades; gaps: {gaps} announced, {unannounced} not"

    def _told(self) -> Limits:
        """Return the limits that a client has to keep to."""
        return Limits(
            messageBytes=int(self.limits["maxMessageBytes"]),
            messagesPerSecond=self.limits["messagesPerSec"],
            messageBurst=int(self.limits["messageBurst"]),
            channels=int(self.limits["maxChannelsPerClient"]),
        )

    async def _open_one(self) -> ClientConnection:
        result = await self.probe.open(next(self.probe.sources))
        if isinstance(result, Refusal):
            raise RefusedError(_words(result))
        return result

    async def _one_more(
        self,
        opened: list[ClientConnection | Refusal],
        limit: int,
        open_another: Callable[[], Awaitable[ClientConnection | Refusal]],
    ) -> tuple[bool, str]:
        """Check that one more is refused, and that it is accepted after another one leaves."""
        accepted = sum(not isinstance(each, Refusal) for each in opened)
        refused = await open_another()
        await self.probe.close_one()
        again = await open_another()
        deadline = time.monotonic() + SLACK_SECONDS
        while isinstance(again, Refusal) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            again = await open_another()
        held = accepted == limit and was_closed_for_policy(refused)
        held = held and not isinstance(again, Refusal)
        first, then = _words(refused), _words(again)
        return held, f"{accepted:,} accepted, one more: {first}; after one left: {then}"


def _words(result: object) -> str:
    """Describe a reply, a refusal or the end of a connection."""
    if isinstance(result, Refusal):
        return f"{result.code} {result.reason}".strip()
    if isinstance(result, Refused):
        return result.code
    return "accepted" if isinstance(result, ClientConnection) else type(result).__name__.lower()
