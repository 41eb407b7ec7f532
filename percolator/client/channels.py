"""The channels that a program follows: what is asked for, and who gets what arrives. No I/O."""

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from percolator.client.bookmark import Position
from percolator.client.channel import Channel
from percolator.client.messages import Gap, Message
from percolator.client.messages import Refused as Refusal
from percolator.client.requests import Request, subscribes, unsubscribes
from percolator.errors import RequestError
from percolator.model.channel import ALL
from percolator.model.closes import ERRORS
from percolator.model.server_messages import (
    Connected,
    Delivery,
    Heartbeat,
    Limits,
    Missing,
    Refused,
    ServerMessage,
    Subscribed,
)

HOPELESS = frozenset({
    *("invalid_json", "invalid_message", "unknown_type", "invalid_channel", "channel_limit"),
    "unauthorized",
})  # fmt: skip
"""Errors that another attempt would get again; with a token function, `unauthorized` may not."""
ECHO = 64
"""Characters of a name that is not valid that an error repeats."""
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until a refused channel is asked again: the first time, and in the end."""

logger = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """A message for the program, the channels that it is for, and where they stood before it."""

    message: Message
    owners: dict[str, Position | None]


class Channels:
    """All channels, by name. `renewable` is true if the next token may cover more."""

    def __init__(self, *, renewable: bool) -> None:
        self.by_name: dict[str, Channel] = {}
        self.limits = Limits()
        self._renewable = renewable
        self._in_force: set[str] = set()
        """Names that were requested on this connection."""
        self._epoch = ""
        self._seq = self._read = 0
        """The highest seq on this connection, and the one in its greeting."""
        self._id = 0

    def add(self, channels: Iterable[Channel]) -> None:
        """Follow more channels; those that are followed already go on."""
        for channel in channels:
            self.by_name.setdefault(channel.name, channel)

    def remove(self, names: Iterable[str]) -> None:
        """Follow channels no longer."""
        for name in names:
            self.by_name.pop(name, None)

    @property
    def all_live(self) -> bool:
        """True if every channel is subscribed."""
        return all(channel.status == "live" for channel in self.by_name.values())

    @property
    def refusal(self) -> str:
        """The channel that is refused, and why; empty if none is."""
        refused = (each for each in self.by_name.values() if each.refusal)
        return next((f"{each.name} is refused: {each.refusal}" for each in refused), "")

    def greeted(self, hello: Connected) -> None:
        """Begin a connection."""
        self._epoch, self._seq, self._read = hello.epoch, hello.seq, hello.seq
        self.limits = hello.limits

    def disconnected(self) -> None:
        """End a connection."""
        self._in_force.clear()
        for channel in self.by_name.values():
            channel.disconnected()

    def retry(self) -> None:
        """Ask again for what was refused: the token is another one."""
        for channel in self.by_name.values():
            channel.retry_at = 0.0

    # Requests.

    def next_request(self, now: float) -> Request | None:
        """Return the next request; None if there is none now."""
        pending = [each for each in self.by_name.values() if each.status == "pending"]
        waiting = {each.name for each in pending}
        left = [name for name in self._in_force if name not in self.by_name or name in waiting]
        due = [each for each in pending if each.retry_at <= now]
        for request in (*unsubscribes(left, self.limits), *subscribes(due, self.limits)):
            return request
        return None

    def requested(self, request: Request) -> None:
        """Number a request that is about to be sent, and record its channels."""
        self._id += 1
        request["id"] = self._id
        for name in request["channels"]:
            if request["type"] == "unsubscribe":
                self._in_force.discard(name)
            else:
                self._in_force.add(name)
                channel = self.by_name[name]
                channel.status, channel.request_id = "requested", self._id

    def next_retry(self) -> float | None:
        """Return when the next refused channel is due, on the loop's clock."""
        pending = [each for each in self.by_name.values() if each.status == "pending"]
        return min((each.retry_at for each in pending), default=None)

    # Messages.

    def received(self, message: ServerMessage | None, now: float) -> Iterator[Arrival]:
        """Yield what the program gets for a message. Raises RequestError for a final refusal."""
        match message:
            case Delivery():
                self._seq = max(self._seq, message.seq)
                yield from self._delivered(message)
            case Missing():
                yield from self._missing(message)
            case Heartbeat():
                self._seq = max(self._seq, message.seq)
                for channel in self._live(self.by_name):
                    channel.settle(message.seq, self._epoch)
            case Subscribed():
                yield from self._subscribed(message, now)
            case Refused():
                yield from self._refused(message, now)
            case _:
                pass

    def _live(self, names: Iterable[str]) -> list[Channel]:
        found = (self.by_name.get(name) for name in names)
        return [each for each in found if each is not None and each.status == "live"]

    def _owners(self, channel: str) -> list[Channel]:
        """Return who follows a channel: it itself, then the wildcard of its kind."""
        return self._live(dict.fromkeys((channel, f"{channel.partition(':')[0]}:{ALL}")))

    def _delivered(self, delivery: Delivery) -> Iterator[Arrival]:
        owners = self._owners(delivery.channel)
        positions = {each.name: each.position for each in owners}
        accepted = [each.accept(delivery, self._epoch) for each in owners]
        for message in accepted[0] if accepted else ():
            yield Arrival(message, positions)

    def _missing(self, missing: Missing) -> Iterator[Arrival]:
        if missing.epoch is not None and missing.epoch != self._epoch:
            self._epoch, self._seq, self._read = missing.epoch, max(missing.before - 1, 0), 0
        owners = self._owners(missing.channel)
        positions = {each.name: each.position for each in owners}
        for owner in owners:
            owner.skip(missing, self._epoch)
        if owners:
            gap = Gap(missing.channel, missing.after, missing.before, missing.epoch)
            yield Arrival(gap, positions)

    def _subscribed(self, reply: Subscribed, now: float) -> Iterator[Arrival]:
        if reply.unknown:
            logger.info("no event yet of %s: are the names right?", ", ".join(reply.unknown))
        for channel in self._asked(reply.id):
            if channel.name in reply.channels:
                before = {channel.name: channel.position}
                gap = channel.subscribed(self._seq, self._read, self._epoch)
                if gap is not None:
                    yield Arrival(gap, before)
            elif reply.id is not None:  # its error was not listed
                refusal = Refusal(channel.name, "more_errors", ERRORS["more_errors"])
                yield from self._refuse(channel, refusal, now)

    def _refused(self, error: Refused, now: float) -> Iterator[Arrival]:
        asked = self._asked(error.id)
        if error.code == "not_subscribed":
            return  # it is as it was asked to be
        if error.code == "more_errors" and error.count < len(asked):
            return  # the reply that follows says which
        if error.code == "rate_limited":  # by an older gateway; a newer one waits
            for channel in asked:
                channel.status, channel.retry_at = "pending", now + FIRST_RETRY
            return
        refused = [each for each in asked if error.channel in (None, each.name, each.name[:ECHO])]
        withdrawn = self._live([error.channel] if error.channel else ())
        if not refused and not withdrawn:
            logger.info("the gateway says: %s", error.message)
        for channel in refused or withdrawn:
            yield from self._refuse(channel, Refusal(channel.name, error.code, error.message), now)

    def _asked(self, request_id: object) -> Sequence[Channel]:
        """Return the channels whose request has this id, or any if the reply has none."""
        return [
            each
            for each in self.by_name.values()
            if each.status == "requested" and request_id in (None, each.request_id)
        ]

    def _refuse(self, channel: Channel, refusal: Refusal, now: float) -> Iterator[Arrival]:
        code = refusal.code
        final = code in HOPELESS and not (code == "unauthorized" and self._renewable)
        if final and channel.given:
            raise RequestError(code, refusal.message, channel.name)
        self._in_force.discard(channel.name)
        wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(channel.refusals, 10))
        channel.status, channel.refusals = "pending", channel.refusals + 1
        channel.retry_at = now + wait * random.uniform(0.5, 1)  # noqa: S311 - jitter
        if channel.refusal != code:
            channel.refusal = code
            yield Arrival(refusal, {channel.name: channel.position})
