"""What the HTTP routes and greetings show, as plain data: stats, health, markets, limits."""

from collections.abc import Callable
from typing import Any, Protocol

from percolator.app.feed_watch import WatchedFeed, is_stale
from percolator.config.settings import Settings
from percolator.fanout.book import Book
from percolator.fanout.hub import Hub
from percolator.fanout.log import Entry
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway.places import Places
from percolator.jetstream.trouble import NOT_STARTED
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS, MARKET
from percolator.model.messages import ClientLimits
from percolator.stats import Stats

Data = dict[str, Any]
Covers = Callable[[Channel], bool]
"""True if the client may read a channel."""


class FeedState(WatchedFeed, Protocol):
    """What the views show of the feed."""

    stream_seq: int
    restarts: int

    @property
    def loaded(self) -> bool:
        """True once the stream's state has been read."""


def stats_view(
    *,
    settings: Settings,
    stats: Stats,
    hub: Hub,
    admission: Places,
    slabs: SlabLimits,
    feed: FeedState,
    now: float,
) -> Data:
    """Return `/ws/stats`: the given fields first, under their given names."""
    rates = stats.rates(now)
    return {
        "totalConnections": admission.total,
        "connectionsPerSlab": dict(sorted(slabs.limited.items())),
        "messagesPerSec": round(rates.messages_sent + rates.messages_received, 2),
        "bytesPerSec": round(rates.bytes_sent + rates.bytes_received, 2),
        "limits": {
            "maxGlobalConnections": settings.max_connections,
            "maxConnectionsPerSlab": settings.max_connections_per_slab,
            "maxConnectionsPerIp": settings.max_connections_per_ip,
            "maxWildcardConnections": settings.max_wildcard_connections,
            "maxChannelsPerClient": settings.max_channels_per_client,
            "maxMessageBytes": settings.max_message_bytes,
            "maxBufferedBytes": settings.max_buffered_bytes,
            "messagesPerSec": settings.messages_per_second,
            "messageBurst": settings.message_burst,
            "attemptsPerSec": settings.attempts_per_second,
            "attemptBurst": settings.attempt_burst,
            "subscribeTimeoutSeconds": settings.subscribe_timeout,
            "requestsPerSec": settings.requests_per_second,
            "requestBurst": settings.request_burst,
        },
        "messagesSentPerSec": round(rates.messages_sent, 2),
        "messagesReceivedPerSec": round(rates.messages_received, 2),
        "bytesSentPerSec": round(rates.bytes_sent, 2),
        "bytesReceivedPerSec": round(rates.bytes_received, 2),
        "eventsPerSec": round(rates.events, 2),
        "clientsBehind": hub.paused,
        "eventsRejected": stats.rejected.total(),
        "eventsUnknown": stats.unknown_subjects,
        "eventsOutdated": stats.outdated,
        "priceJumps": stats.price_jumps,
        "rejectedConnections": dict(stats.refused),
        "closed": {str(code): count for code, count in sorted(stats.closed.items())},
        "uptimeSeconds": round(now - stats.started, 1),
        "nats": {"connected": feed.connected, "streamSeq": feed.stream_seq, "lag": feed.lag},
    }


def client_limits(settings: Settings) -> ClientLimits:
    """Return the limits that a client is told when it connects."""
    return ClientLimits(
        message_bytes=settings.max_message_bytes,
        messages_per_second=settings.messages_per_second,
        message_burst=settings.message_burst,
        channels=settings.max_channels_per_client,
        replay=settings.replay_limit,
    )


def health_view(feed: FeedState, wall_ms: int, *, draining: bool) -> tuple[bool, Data]:
    """Return `/health`, after True if every check passes. A failed one says why, and since when.

    A feed that reads without a consumer passes; its trouble is shown.
    """
    trouble = "" if feed.trouble in ("", NOT_STARTED) else f": {feed.trouble}"
    checks: Data = {
        "state": _check(feed.loaded, f"the state is still being read from the stream{trouble}"),
        "nats": _check(feed.connected, feed.trouble or "not connected to NATS"),
        "feed": _check(
            not is_stale(feed), f"no sign of life from the stream: {feed.trouble or 'silent'}"
        ),
    }
    if draining:
        checks["serving"] = _check(ok=False, reason="the gateway is shutting down")
    for name in ("nats", "feed"):
        if not checks[name]["ok"]:
            checks[name]["since"] = wall_ms - int(feed.silent_for * 1000)
    if feed.loaded and feed.trouble and checks["feed"]["ok"]:
        checks["feed"]["trouble"] = feed.trouble
    well = all(check["ok"] for check in checks.values())
    return well, {"status": "ok" if well else "unavailable", "seq": feed.seq, "checks": checks}


def _check(ok: bool, reason: str) -> Data:  # noqa: FBT001 - it is what it says
    return {"ok": True} if ok else {"ok": False, "reason": reason}


def market_view(book: Book, slab: str, covers: Covers) -> Data | None:
    """Return `/markets/SLAB`; None if there is no such market.

    Of a retired market, only what it is.
    """
    found: Data = {"slab": slab}
    for kind in [MARKET] if slab in book.retired else KINDS:
        channel = Channel(kind, slab)
        log = book.logs.get(channel)
        if log is not None and log.latest is not None and covers(channel):
            found[kind.name] = entry_view(log.latest)
    return found if len(found) > 1 else None


def entry_view(entry: Entry) -> Data:
    """Return a channel's newest event, as the pages of markets show it."""
    event = entry.event
    assert event is not None, "the newest entry of a log is always an event"
    return {**event.values(), "timestamp": event.timestamp, "seq": entry.seq, **event.extra}
