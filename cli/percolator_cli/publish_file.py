"""`percolator publish file`: publishes JSON lines, each acknowledged and none of them twice."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
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
from percolator_cli.publishing import publisher
from percolator_cli.render import figures

IN_FLIGHT = 512
"""Maximum number of events without an acknowledgement."""

Notify = Callable[[str | None], None]

_KINDS: dict[str, Kind] = {
    name: kind for kind in KINDS for name in (kind.name, kind.envelope) if name is not None
}
"""Each kind by the names that a line may give it: its own, and its envelope's."""
_NAMES = ", ".join(kind.name for kind in KINDS)


class Pending(NamedTuple):
    """An event to be published: its line, subject, payload and message id."""

    line: Line
    subject: str
    payload: bytes
    id: str


@dataclass
class Outcome:
    """What was done with a file so far."""

    valid: int = 0
    """Events that were only checked."""
    published: int = 0
    already_there: int = 0
    """Events that JetStream already had under the same message id."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Lines that were skipped: number and error."""
    read: int = 0
    """Bytes read."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields of `--json`."""
        bad = [{"line": number, "error": error} for number, error in self.bad]
        return {"published": self.published, "alreadyThere": self.already_there, "bad": bad}


async def publish_file(
    settings: Settings,
    path: str,
    outcome: Outcome,
    *,
    rate: float | None,
    dedupe: bool,
    notify: Notify,
) -> None:
    """Publish a file's events in order, at most `rate` per second.

    With `dedupe`, JetStream drops events of the same file that it got within the last two minutes.
    `notify` gets a message for each line that is skipped, and None whenever else the outcome
    changes. Raises NatsError if JetStream rejects the events, and PercolatorError if the file
    cannot be read; either may come in an exception group.
    """
    file_id = _file_id(path) if dedupe else secrets.token_hex(8)
    async with (
        publisher(settings, name="percolator publish", on_trouble=notify) as to,
        asyncio.TaskGroup() as group,
    ):
        await _publish_lines(path, file_id, _Pipeline(to, outcome, notify, group), rate)


async def check_file(path: str, outcome: Outcome, *, notify: Notify) -> None:
    """Validate a file's events as `publish_file` does, and publish none. Needs no NATS.

    Raises PercolatorError if the file cannot be read.
    """
    async for _ in _valid_lines(path, "", outcome, notify):
        outcome.valid += 1
        notify(None)


async def _publish_lines(
    path: str, file_id: str, pipeline: "_Pipeline", rate: float | None
) -> None:
    start = time.monotonic()
    sent = 0
    async for pending in _valid_lines(path, file_id, pipeline.outcome, pipeline.notify):
        if rate is not None:
            await asyncio.sleep(start + sent / rate - time.monotonic())
        await pipeline.send(pending)
        sent += 1


async def _valid_lines(
    path: str, file_id: str, outcome: Outcome, notify: Notify
) -> AsyncIterator[Pending]:
    """Yield the events of a file, and note what is wrong with each other line."""
    async for line in lines_of(path):
        outcome.read = line.read
        if not line.text.strip():
            continue
        try:
            pending = parse_line(line, file_id)
        except EventError as error:
            outcome.bad.append((line.number, str(error)))
            notify(f"line {line.number}: {error}")
        else:
            yield pending


class _Pipeline:
    """Publishes events concurrently, up to IN_FLIGHT at a time, and starts them in order."""

    def __init__(
        self, to: Publisher, outcome: Outcome, notify: Notify, group: asyncio.TaskGroup
    ) -> None:
        self.notify = notify
        self.outcome = outcome
        self._to = to
        self._group = group
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def send(self, pending: Pending) -> None:
        """Start to publish an event, as soon as fewer than IN_FLIGHT are pending."""
        await self._room.acquire()
        self._group.create_task(self._deliver(pending))

    async def _deliver(self, pending: Pending) -> None:
        try:
            ack = await self._to.store(pending.subject, pending.payload, pending.id)
        finally:
            self._room.release()
        if ack.duplicate:
            self.outcome.already_there += 1
        else:
            self.outcome.published += 1
        self.notify(None)


def parse_line(line: Line, file_id: str) -> Pending:
    """Parse a line as an event. Raises EventError with a message for the file's author."""
    try:
        document = from_json(line.text, allow_inf_nan=False)
    except ValueError:
        raise EventError("invalid_json", "not valid JSON") from None
    if not isinstance(document, dict):
        raise EventError("invalid_json", "not a JSON object")
    named = document.get("type", document.get("event"))
    kind = _KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise EventError("invalid_event", f"type must be one of {_NAMES}")
    slab = document.get("slab", document.get("slabAddress"))
    if not isinstance(slab, str) or not SLAB.fullmatch(slab):
        raise EventError("invalid_subject", f"slab must be a market name ({SLAB_RULE})")
    now_ms = time.time_ns() // 1_000_000
    stamped = {**document, "timestamp": document.get("timestamp", now_ms)}
    channel = Channel(kind, slab)
    payload = to_json(stamped)
    events.decode(channel, payload, now_ms)
    digest = hashlib.sha256(b"%d\n%s" % (line.number, line.text)).hexdigest()[:32]
    return Pending(line, channel.subject, payload, f"{file_id}-{digest}")


def _file_id(path: str) -> str:
    """Return the prefix of a file's message ids, which is the same every time it is published."""
    place = STDIN if path == STDIN else str(Path(path).resolve())
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def summary(outcome: Outcome) -> str:
    """Describe the outcome in one line."""
    parts = [f"published {figures.counted(outcome.published, 'event')}"]
    if outcome.already_there:
        parts.append(f"{outcome.already_there:,} already published")
    if outcome.bad:
        parts.append(f"{figures.counted(len(outcome.bad), 'invalid line')} skipped")
    return ", ".join(parts)


def checked(outcome: Outcome, *, as_json: bool) -> str:
    """Describe the outcome of a check in one line, or return it as JSON."""
    if as_json:
        return json.dumps({"valid": outcome.valid, "bad": outcome.as_json()["bad"]})
    bad = figures.counted(len(outcome.bad), "invalid line")
    return f"{figures.counted(outcome.valid, 'valid event')}, {bad}; nothing was published"


def printed(outcome: Outcome) -> str:
    """Return the outcome as JSON."""
    return json.dumps(outcome.as_json())
