"""One channel: how far it has been read, and what the program gets next. No I/O, no clock."""

from typing import Literal

from percolator.client.bookmark import Position
from percolator.client.messages import Gap, Update
from percolator.errors import MessageError, RequestError
from percolator.model.channel import ALL
from percolator.model.channel import Channel as ChannelName
from percolator.model.closes import ERRORS
from percolator.model.kinds import Kind
from percolator.model.server_messages import Delivery, Missing

MAX_MARKETS = 100_000
"""Markets of a wildcard that a gateway can make the client remember."""
Status = Literal["pending", "requested", "live"]


def kind_of(name: str) -> Kind:
    """Return the kind of a channel's events. Raises RequestError if the name is not valid."""
    channel = ChannelName.parse(name)
    if channel is None:
        raise RequestError("invalid_channel", f"{name[:80]!r} is {ERRORS['invalid_channel']}", name)
    return channel.kind


class Channel:
    """A channel that a program follows.

    Events up to `seq` have arrived, or are known to be lost: the channel resumes there. A wildcard
    is many markets in one stream, and resumes all of them at one seq.
    """

    def __init__(
        self, name: str, *, recent: int = 0, start: Position | None = None, given: bool = False
    ) -> None:
        self.name = name
        self.kind = kind_of(name)
        self.recent = recent
        self.given = given
        """True if a refusal for good ends it all."""
        self.status: Status = "pending"
        self.request_id = 0
        self.refusal = ""
        """The code of the last refusal; empty once the channel is accepted."""
        self.refusals = 0
        self.retry_at = 0.0
        """When a refused channel is asked again, on the loop's clock."""
        resumes = start is not None and self.kind.lossless
        self.epoch: str | None = start.epoch if start and resumes else None
        self.seq: int | None = start.seq if start and resumes else None
        self._wildcard = name.endswith(f":{ALL}")
        self._floor = self.seq
        """The seq after which a market begins that has had no event on this connection."""
        self._last: dict[str, int] = {}
        """The newest seq of each market; of a lossless kind, on this connection."""
        self._heard: dict[str, int] = {}
        """The last seq of each market on this connection, if the latest wins."""

    @property
    def position(self) -> Position | None:
        """Where to resume; None before the channel is accepted, and if the latest wins."""
        return None if self.seq is None else Position(self.epoch, self.seq)

    def disconnected(self) -> None:
        """Ask for the channel again, from where it stopped."""
        self.status, self.refusals, self.retry_at = "pending", 0, 0.0
        self._heard.clear()
        if self.kind.lossless:
            self._floor = self.seq
            self._last.clear()

    def subscribed(self, seq: int, read: int, epoch: str) -> Gap | None:
        """Begin: every event after `seq` will come. The gateway's stream was at `read`.

        Returns a gap if the program resumes after the stream's end, and named no epoch: that seq is
        of another stream.
        """
        self.status, self.refusal, self.refusals = "live", "", 0
        if not self.kind.lossless:
            return None
        if self.seq is None:
            self.epoch, self.seq = epoch, seq
        elif self.epoch is None:
            self.epoch = epoch
            if self.seq > read:
                gap = Gap(self.name, self.seq, read + 1, epoch, announced=False)
                self.seq, self._floor = read, None
                return gap
        return None

    def accept(self, delivery: Delivery, epoch: str) -> list[Gap | Update]:
        """Return what the program gets for an event: nothing if it is known, a gap if one is due.

        Raises MessageError if a wildcard has more than MAX_MARKETS.
        """
        slab, seq, prev = delivery.event.slab, delivery.seq, delivery.prev
        update = Update(delivery.channel, seq, prev, delivery.event, delivery.snapshot, epoch)
        gaps: list[Gap | Update] = []
        if self.epoch != epoch:
            if self.seq is not None:
                gaps.append(Gap(self.name, self.seq, seq, epoch, announced=False))
            self._replace(epoch, seq - 1)
        elif self._has_restarted(slab, seq):
            self._last.clear()
        before = self._last.get(slab, self._floor)
        if before is not None and seq <= before:
            return []
        if before is not None and prev is not None and prev > before:
            gaps.append(Gap(delivery.channel, before, seq, announced=False))
        self._know(slab, seq)
        if self.kind.lossless:
            self.seq = max(self.seq or 0, seq) if self._wildcard else seq
        return [*gaps, update]

    def skip(self, gap: Missing, epoch: str) -> None:
        """Go on after a gap, of the channel or of one market of the wildcard.

        Raises MessageError as `accept` does.
        """
        if gap.channel != self.name:
            if self.epoch != epoch:
                self._replace(epoch, 0)
            slab = gap.channel.partition(":")[2]
            before = self._last.get(slab, self._floor) or 0
            self._know(slab, max(before, gap.before - 1))
            return
        replaced = self.epoch != epoch
        seq = gap.before - 1 if replaced else max(self.seq or 0, gap.before - 1)
        later = {} if replaced else {slab: last for slab, last in self._last.items() if last > seq}
        self._replace(epoch, max(seq, 0))
        self._last = later

    def settle(self, seq: int, epoch: str) -> None:
        """Record that every event up to a seq has been sent."""
        if self.epoch == epoch and self.seq is not None and seq > self.seq:
            self._replace(epoch, seq)

    def _know(self, slab: str, seq: int) -> None:
        self._last[slab] = seq
        if max(len(self._last), len(self._heard)) > MAX_MARKETS:
            raise MessageError("too many markets")

    def _replace(self, epoch: str, seq: int) -> None:
        self.epoch = epoch
        self._last.clear()
        if self.kind.lossless:
            self.seq = self._floor = seq

    def _has_restarted(self, slab: str, seq: int) -> bool:
        """True if the stream has started again: a price has no gap, only a seq that is older."""
        if self.kind.lossless:
            return False
        before = self._heard.get(slab, 0)
        self._heard[slab] = seq
        return seq < before
