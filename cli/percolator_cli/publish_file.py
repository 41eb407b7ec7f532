"""`percolator publish file`: events from JSON lines, each acknowledged, none of them twice."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from percolator.config.settings import Settings
from percolator.errors import EventError
from percolator.jetstream.publisher import Publisher
from percolator.model import events
from percolator.model.channel import SLAB, SLAB_RULE, Channel
from percolator.model.kinds import KINDS, Kind
from percolator_cli.lines import STDIN, Line, lines_of
from percolator_cli.publishing import plainly, publisher

IN_FLIGHT = 512

Tell = Callable[[str | None], None]

_KINDS: dict[str, Kind] = {
    name: kind for kind in KINDS for name in (kind.name, kind.envelope) if name is not None
}
"""Each kind by the names that a line may give it: its own, and its envelope's."""
_NAMES = ", ".join(kind.name for kind in KINDS)


class Pending(NamedTuple):
    """An event on its way: its line, where it goes, what it is, and its message id."""

    line: Line
    subject: str
    payload: bytes
    id: str


@dataclass
class Outcome:
    """What has become of a file so far."""

    published: int = 0
    already_there: int = 0
    """Events that JetStream has had under the same message id."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Lines that were skipped: their numbers and what is wrong with them."""
    read: int = 0
    """Bytes."""

    def as_json(self) -> dict[str, Any]:
        """Give it for scripts."""
        bad = [{"line": number, "error": error} for number, error in self.bad]
        return {"published": self.published, "alreadyThere": self.already_there, "bad": bad}


async def publish_file(
    settings: Settings, path: str, outcome: Outcome, *, rate: float | None, anew: bool, tell: Tell
) -> None:
    """Publish a file's events in their order, `rate` a second at the most.

    `tell` is called with each line that is skipped, and with nothing whenever else the outcome has
    changed. Raises NatsError where JetStream does not take the events, and PercolatorError where
    the file cannot be read; either may come in a group.
    """
    name = secrets.token_hex(8) if anew else _name(path)
    async with (
        publisher(settings, name="percolator publish", reconnect=True) as to,
        asyncio.TaskGroup() as group,
    ):
        await _publish_lines(path, name, _Way(to, outcome, tell, group), rate)


async def _publish_lines(path: str, name: str, way: "_Way", rate: float | None) -> None:
    start = time.monotonic()
    sent = 0
    async for line in lines_of(path):
        way.outcome.read = line.read
        if not line.text.strip():
            continue
        try:
            parcel = parcel_of(line, name)
        except EventError as error:
            way.outcome.bad.append((line.number, str(error)))
            way.tell(f"line {line.number}: {error}")
            continue
        if rate is not None:
            await asyncio.sleep(start + sent / rate - time.monotonic())
        await way.send(parcel)
        sent += 1


class _Way:
    """The way to JetStream: so many parcels at once, started in their order."""

    def __init__(
        self, to: Publisher, outcome: Outcome, tell: Tell, group: asyncio.TaskGroup
    ) -> None:
        self.tell = tell
        self.outcome = outcome
        self._to = to
        self._group = group
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def send(self, parcel: Pending) -> None:
        """Send one, as soon as there is room for it."""
        await self._room.acquire()
        self._group.create_task(self._deliver(parcel))

    async def _deliver(self, parcel: Pending) -> None:
        try:
            ack = await self._to.store(parcel.subject, parcel.payload, parcel.id)
        finally:
            self._room.release()
        if ack.duplicate:
            self.outcome.already_there += 1
        else:
            self.outcome.published += 1
        self.tell(None)


def parcel_of(line: Line, name: str) -> Pending:
    """Make an event ready to go out of a line. Raises EventError, in words for who wrote it."""
    try:
        document = from_json(line.text, allow_inf_nan=False)
    except ValueError:
        raise EventError("invalid_json", "it is not JSON") from None
    if not isinstance(document, dict):
        raise EventError("invalid_json", "it is not a JSON object")
    named = document.get("type", document.get("event"))
    kind = _KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise EventError("invalid_event", f"type must be one of {_NAMES}")
    slab = document.get("slab", document.get("slabAddress"))
    if not isinstance(slab, str) or not SLAB.fullmatch(slab):
        raise EventError("invalid_subject", f"slab must be a market's name ({SLAB_RULE})")
    stamped = {**document, "timestamp": document.get("timestamp", time.time_ns() // 1_000_000)}
    channel = Channel(kind, slab)
    payload = to_json(stamped)
    try:
        events.decode(channel, payload)
    except EventError as error:
        raise EventError(error.reason, plainly(error, stamped)) from None
    digest = hashlib.sha256(b"%d\n%s" % (line.number, line.text)).hexdigest()[:32]
    return Pending(line, channel.subject, payload, f"{name}-{digest}")


def _name(path: str) -> str:
    """Name a file in message ids: the same one has the same whenever it is published."""
    place = STDIN if path == STDIN else str(Path(path).resolve())
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def summary(outcome: Outcome) -> str:
    """Say in a line what has become of the file."""
    parts = [f"published {outcome.published:,} events"]
    if outcome.already_there:
        parts.append(f"{outcome.already_there:,} were there already")
    if outcome.bad:
        parts.append(f"{len(outcome.bad):,} bad lines skipped")
    return ", ".join(parts)


def printed(outcome: Outcome) -> str:
    """Give the same as JSON."""
    return json.dumps(outcome.as_json())
