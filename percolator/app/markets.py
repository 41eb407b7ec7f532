"""The body of `/markets`: each market's state, folded from those events that the client may read.

Retired markets are left out.

It is made at most once per seq, from parts that are kept: the JSON of each channel's newest event,
and that of each market. So an event costs one encoding and a join, however many markets there are.
"""

from collections.abc import Container
from itertools import compress
from operator import attrgetter, is_not

from pydantic_core import to_json

from percolator.app.views import Covers, entry_view
from percolator.auth.tokens import Grant
from percolator.fanout.book import Book
from percolator.fanout.log import ChannelLog, Entry
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS

MAX_VIEWS = 8
"""Bodies that are kept for tokens with different channels; the one not used for longest goes."""

Parts = dict[str, dict[Channel, bytes]]
"""The JSON of each channel's newest event, by market: `"price":{...}`."""

Version = tuple[str, int, int]
"""Epoch, seq and revision of the book that something was made from."""

_LATEST = attrgetter("latest")


class Markets:
    """The state of all markets, as JSON."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._version: Version | None = None
        self._logs: list[ChannelLog] = []
        self._latest: list[Entry | None] = []
        """The entry of each of these logs that its part shows."""
        self._parts: Parts = {}
        self._views: dict[tuple[str, ...], _View] = {}

    def body(self, grant: Grant) -> bytes:
        """Return the body for a client that may read what `grant` covers."""
        version = self._refresh()
        retired = self._book.retired
        view = self._views.pop(grant.channels, None) or _View(
            grant.covers, set(self._parts), retired
        )
        self._views[grant.channels] = view
        if len(self._views) > MAX_VIEWS:
            del self._views[next(iter(self._views))]
        return view.body(version, self._parts)

    def _refresh(self) -> Version:
        """Encode what has changed since the last call; return what the parts are as of."""
        book = self._book
        version = (book.epoch, book.seq, book.revision)
        if version == self._version:
            return version
        self._version = version
        logs = list(book.logs.values())
        latest: list[Entry | None] = list(map(_LATEST, logs))
        shown: list[Entry | None] = self._latest
        gone: set[ChannelLog] = set()
        if logs != self._logs:
            entries = dict(zip(self._logs, self._latest, strict=True))
            shown = [entries.pop(log, None) for log in logs]
            gone = set(entries)
        changed = list(compress(logs, map(is_not, latest, shown)))
        self._logs, self._latest = logs, latest
        for log in gone:
            self._set(log.channel, None)
        for log in changed:
            self._set(log.channel, log.latest)
        stale = {log.channel.slab for log in (*gone, *changed)}
        for view in self._views.values():
            view.stale |= stale
        return version

    def _set(self, channel: Channel, entry: Entry | None) -> None:
        """Make the part of a channel again, or drop it if the channel has no event."""
        parts = self._parts.setdefault(channel.slab, {})
        parts.pop(channel, None)
        if entry is not None:
            name = to_json(channel.kind.name)
            parts[channel] = b"%b:%b" % (name, to_json(entry_view(entry)))
            self._parts[channel.slab] = dict(sorted(parts.items(), key=_kind_order))
        elif not parts:
            del self._parts[channel.slab]


class _View:
    """What tokens with the same channels may read."""

    def __init__(self, covers: Covers, slabs: set[str], retired: Container[str]) -> None:
        self._retired = retired
        self.stale = slabs
        """Markets that have changed since the last body."""
        self._covers = covers
        self._markets: dict[str, bytes] = {}
        """In alphabetical order: `"SOL":{"slab":"SOL","price":{...}}`."""
        self._version: Version | None = None
        self._body = b""

    def body(self, version: Version, parts: Parts) -> bytes:
        """Return the body, made again if there is a new version."""
        if version != self._version:
            self._version = version
            self._join(parts)
            epoch, seq, _ = version
            markets = list(self._markets.values()) or [b""]
            markets[0] = b'{"epoch":%b,"seq":%d,"markets":{%b' % (to_json(epoch), seq, markets[0])
            markets[-1] += b"}}\n"
            self._body = b",".join(markets)  # at once: it may have megabytes
        return self._body

    def _join(self, parts: Parts) -> None:
        """Join the parts of each market that has changed."""
        new = False
        for slab in self.stale:
            own = {} if slab in self._retired else parts.get(slab, {})
            covered = [part for channel, part in own.items() if self._covers(channel)]
            if covered:
                new = new or slab not in self._markets
                name = to_json(slab)
                self._markets[slab] = b'%b:{"slab":%b,%b}' % (name, name, b",".join(covered))
            else:
                self._markets.pop(slab, None)
        self.stale.clear()
        if new:
            self._markets = dict(sorted(self._markets.items()))


def _kind_order(part: tuple[Channel, bytes]) -> int:
    return KINDS.index(part[0].kind)
