"""Walks up to each limit of a running gateway and one past it, and says whether it held.

Up to the limit everything must be let through, past it nothing, and a place that is given back
must be there again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection

from percolator.model.messages import CLOSE_SILENT, CloseCode
from percolator_cli.loadtest.limit_probe import (
    LimitProbe,
    ask,
    read_chain,
    subscribe,
    until,
    was_closed_for_policy,
)
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.plan import own_slabs

BATCH = 20
"""Channels that are asked for in one message."""
LONGEST_WAIT = 300.0
"""A time limit that is longer is not waited for."""
SLACK_SECONDS = 3.0
POLL_SECONDS = 0.05
SLACK = 3
"""What a bucket may let through besides, since it fills up meanwhile."""


class Verdict(NamedTuple):
    """Whether a limit held: True, False, or None where it could not be seen, and what was seen."""

    name: str
    limit: float
    held: bool | None
    seen: str


@dataclass
class Limits:
    """The limits of a gateway, one method each; all of them are named in CHECKS."""

    walker: LimitProbe
    limits: Mapping[str, float]
    """As in the gateway's stats."""
    stats: Callable[[], Awaitable[Mapping[str, Any]]]
    """Asks the gateway for its stats."""
    flood: Callable[[str], Awaitable[int]] | None
    """Publishes some thousand trades of a market, and gives the seq of the last."""
    slab: str = field(default_factory=lambda: own_slabs(1)[0])

    async def per_address(self) -> tuple[bool, str]:
        """From one address, so many connections and no more."""
        most = int(self.limits["maxConnectionsPerIp"])
        source = next(self.walker.sources)
        opened = [await self.walker.enter(source) for _ in range(most)]
        return await self._one_more(opened, most, lambda: self.walker.enter(source))

    async def per_slab(self) -> tuple[bool, str]:
        """On one market, so many clients and no more."""
        most = int(self.limits["maxConnectionsPerSlab"])
        came, _ = await self.walker.enter_many(most + 1)
        if len(came) <= most:
            return False, f"only {len(came)} connections could be opened"
        answers = [await subscribe(each, [f"price:{self.slab}"]) for each in came[:most]]
        taken = sum(isinstance(each, dict) and each["type"] == "subscribed" for each in answers)
        refused = await subscribe(came[most], [f"trades:{self.slab}"])
        right = isinstance(refused, dict) and refused.get("code") == "slab_limit"
        end = await until(came[most], "subscribed")
        right = right and was_closed_for_policy(end)
        return taken == most and right, f"{taken:,} let on, one more: {_words(end)}"

    async def in_all(self) -> tuple[bool, str]:
        """So many connections at all."""
        most = int(self.limits["maxGlobalConnections"])
        room = most - (await self.stats())["totalConnections"]
        came, refusals = await self.walker.enter_many(room)
        opened: list[ClientConnection | Refusal] = [*came, *refusals]
        return await self._one_more(
            opened, room, lambda: self.walker.enter(next(self.walker.sources))
        )

    async def channels(self) -> tuple[bool, str]:
        """For one client, so many channels and no more."""
        most = int(self.limits["maxChannelsPerClient"])
        socket = await self._one()
        names = [f"trades:{self.slab}-{number}" for number in range(most)]
        for start in range(0, most, BATCH):
            answer = await subscribe(socket, names[start : start + BATCH])
            if not (isinstance(answer, dict) and answer["type"] == "subscribed"):
                return False, f"of {most} channels not all were let through: {_words(answer)}"
            await asyncio.sleep(1 / (self.limits["messagesPerSec"] or 1_000))
        refused = await subscribe(socket, [f"trades:{self.slab}-more"])
        held = isinstance(refused, dict) and refused.get("code") == "channel_limit"
        return held, f"{most} channels, one more: {_words(refused)}"

    async def message_size(self) -> tuple[bool, str]:
        """A message of just this size, and one that is a byte longer."""
        most = int(self.limits["maxMessageBytes"])
        socket = await self._one()
        fits = await ask(socket, '{"type":"ping"}'.ljust(most))
        refused = await ask(socket, '{"type":"ping"}'.ljust(most + 1))
        held = isinstance(refused, Refusal) and refused.code == str(CloseCode.TOO_BIG.value)
        right = isinstance(fits, dict) and fits["type"] == "pong"
        return right and held, f"{most:,} bytes: {_words(fits)}, one more: {_words(refused)}"

    async def messages(self) -> tuple[bool, str]:
        """So many messages at once; who goes on is cut off."""
        burst, rate = int(self.limits["messageBurst"]), self.limits["messagesPerSec"]
        socket = await self._one()
        start = time.monotonic()
        taken = refused = 0
        while refused <= burst and taken <= 10 * burst:
            answer = await ask(socket, {"type": "ping"})
            if isinstance(answer, Refusal):
                break
            taken += answer["type"] == "pong"
            refused += answer.get("code") == "rate_limited"
        most = burst + rate * (time.monotonic() - start) + SLACK
        held = burst - 1 <= taken <= most and refused > 0 and was_closed_for_policy(answer)
        return held, f"{taken} answered, {refused} refused, then {_words(answer)}"

    async def attempts(self) -> tuple[bool, str]:
        """So many connection attempts of one address at once."""
        burst, rate = int(self.limits["attemptBurst"]), self.limits["attemptsPerSec"]
        source = next(self.walker.sources)
        start = time.monotonic()
        taken = 0
        came: ClientConnection | Refusal = Refusal("none", "")
        while taken <= 10 * burst:
            came = await self.walker.enter(source)
            if isinstance(came, Refusal) and came.code.startswith("HTTP"):
                break
            taken += 1
            if not isinstance(came, Refusal):
                await self.walker.leave_one()
        most = burst + rate * (time.monotonic() - start) + SLACK
        right = isinstance(came, Refusal) and came.code == "HTTP 429"
        return right and burst <= taken <= most, f"{taken} taken, then {_words(came)}"

    async def first_message(self) -> tuple[bool, str]:
        """Who says nothing is sent away in time."""
        seconds = self.limits["subscribeTimeoutSeconds"]
        socket = await self._one()
        start = time.monotonic()
        try:
            async with asyncio.timeout(seconds + 2 * SLACK_SECONDS):
                await socket.wait_closed()
        except TimeoutError:
            return False, f"still open after {time.monotonic() - start:.0f} s"
        took = time.monotonic() - start
        right = socket.close_reason == CLOSE_SILENT.reason
        held = right and abs(took - seconds) <= SLACK_SECONDS
        return held, f"closed with {socket.close_code} after {took:.0f} s"

    async def slow_client(self) -> tuple[bool, str]:
        """A client that does not read is skipped, and told later what it has missed."""
        assert self.flood is not None
        behind = (await self.stats())["clientsBehind"]
        socket = await self.walker.enter(next(self.walker.sources), slow=True)
        if isinstance(socket, Refusal):
            raise _RefusedError(_words(socket))
        await subscribe(socket, [f"trades:{self.slab}"])
        last_seq = await self.flood(self.slab)
        until_time = time.monotonic() + SLACK_SECONDS
        while (skipped := (await self.stats())["clientsBehind"] - behind) < 1:
            if time.monotonic() > until_time:
                return False, "it was never skipped"
            await asyncio.sleep(POLL_SECONDS)
        got, missing, gaps = await read_chain(socket, last_seq)
        held = skipped == 1 and not missing
        return held, f"skipped; then {got:,} trades, {gaps} gaps announced, {missing} not"

    async def _one(self) -> ClientConnection:
        came = await self.walker.enter(next(self.walker.sources))
        if isinstance(came, Refusal):
            raise _RefusedError(_words(came))
        return came

    async def _one_more(
        self,
        opened: list[ClientConnection | Refusal],
        most: int,
        enter: Callable[[], Awaitable[ClientConnection | Refusal]],
    ) -> tuple[bool, str]:
        """See that one more is refused, and that it is let in when one has left."""
        let_in = sum(not isinstance(each, Refusal) for each in opened)
        refused = await enter()
        await self.walker.leave_one()
        again = await enter()
        deadline = time.monotonic() + SLACK_SECONDS
        while isinstance(again, Refusal) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            again = await enter()
        held = let_in == most and was_closed_for_policy(refused)
        held = held and not isinstance(again, Refusal)
        after = "let in" if not isinstance(again, Refusal) else _words(again)
        return held, f"{let_in:,} let in, one more: {_words(refused)}; when one had left: {after}"


Check = Callable[[Limits], Awaitable[tuple[bool, str]]]
CHECKS: dict[str, tuple[str, Check]] = {
    "connections from one address": ("maxConnectionsPerIp", Limits.per_address),
    "clients on one market": ("maxConnectionsPerSlab", Limits.per_slab),
    "connections in all": ("maxGlobalConnections", Limits.in_all),
    "channels of one client": ("maxChannelsPerClient", Limits.channels),
    "size of a message": ("maxMessageBytes", Limits.message_size),
    "messages at once": ("messageBurst", Limits.messages),
    "connection attempts at once": ("attemptBurst", Limits.attempts),
    "bytes that wait for a client": ("maxBufferedBytes", Limits.slow_client),
    "time for the first message": ("subscribeTimeoutSeconds", Limits.first_message),
}
"""By name: which limit it is, and what is done about it."""
RATES = {"messageBurst": "messagesPerSec", "attemptBurst": "attemptsPerSec"}
"""These are switched off by another setting."""
MANY = {"maxConnectionsPerSlab", "maxGlobalConnections"}
"""These need connections from many addresses."""


class _RefusedError(Exception):
    """A connection that is needed for a check is not let in."""


async def verify(
    make_limits: Callable[[], Limits], tell: Callable[[Verdict], None], *, from_anywhere: bool
) -> list[Verdict]:
    """Check one limit after the other; the one that takes a minute beside the others.

    `from_anywhere` says that connections can come from many addresses.
    """

    async def check(name: str) -> Verdict:
        limit, action = CHECKS[name]
        limits = make_limits()
        most = limits.limits.get(limit, 0)
        reason = _why_not(limit, limits, from_anywhere=from_anywhere)
        if reason:
            verdict = Verdict(name, most, None, reason)
        else:
            async with limits.walker:
                try:
                    verdict = Verdict(name, most, *await action(limits))
                except _RefusedError as refused:
                    verdict = Verdict(name, most, held=False, seen=f"not let in: {refused}")
        tell(verdict)
        return verdict

    *names, patient = CHECKS
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(check(patient))
        verdicts = [await check(name) for name in names]
    return [*verdicts, waiting.result()]


def _why_not(limit: str, limits: Limits, *, from_anywhere: bool) -> str:
    """Say why a limit cannot be walked up to."""
    if not limits.limits.get(limit) or not limits.limits.get(RATES.get(limit, limit)):
        return "switched off"
    if limit == "maxBufferedBytes" and limits.flood is None:
        return "not tried: it takes a NATS that answers"
    if limit in MANY and not from_anywhere:
        return "not tried: it takes many addresses, which only a gateway on loopback can be given"
    if limit == "subscribeTimeoutSeconds" and limits.limits[limit] > LONGEST_WAIT:
        return "not tried: it takes too long"
    return ""


def _words(came: object) -> str:
    """Say how an answer or an end reads."""
    if isinstance(came, Refusal):
        return f"{came.code} {came.reason}".strip()
    if isinstance(came, dict):
        return str(came.get("code") or came.get("type"))
    return "let in"
