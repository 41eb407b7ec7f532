"""What `/metrics` shows: every counter of a gateway as Prometheus has it.

Read from plain integers on request; nothing here is touched on the path of an event. Labels
take few values, whatever clients do: a slab that no event was ever seen of has no name here, nor
has a close code of a client's own invention.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from percolator import __version__
from percolator.app.feed_watch import FeedWatch
from percolator.app.projector import Projector
from percolator.app.replayer import Replayer
from percolator.app.views import FeedState
from percolator.config.settings import Settings
from percolator.fanout.hub import Hub
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.places import Places
from percolator.histogram import Histogram
from percolator.model.channel import ALL
from percolator.model.kinds import KINDS
from percolator.stats import Stats

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MAX_SLABS = 50
"""Slabs with a time series of their own: those with the most clients."""
OTHER = "(other)"
"""All others together; no slab can have this name."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers stand."""

    settings: Settings
    stats: Stats
    hub: Hub
    admission: Places
    slabs: SlabLimits
    heartbeat: Heartbeat
    replayer: Replayer
    answering: Sized
    """The requests that wait for their answer."""
    feed: FeedState
    feed_watch: FeedWatch
    projector: Projector
    flush_seconds: Histogram
    flush_bytes: Histogram
    loop_lag: Histogram


class Metrics(Collector):
    """All metrics of one gateway."""

    def __init__(self, sources: Sources) -> None:
        self._from = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry need not collect to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read all counters, as they stand."""
        yield InfoMetricFamily("percolator", "The running version.", {"version": __version__})
        yield from self._clients()
        yield from self._traffic()
        yield from self._feed()
        if self._from.projector.runs:
            yield from self._projector()

    def _clients(self) -> Iterator[Metric]:
        here = self._from
        stats, limit = here.stats, here.settings.max_connections
        yield _gauge("connections", "Connected clients.", here.admission.total)
        yield _gauge("connections_limit", "Maximum number of clients; 0 means no limit.", limit)
        addresses = len(here.admission.by_address)
        yield _gauge("addresses", "Addresses with connected clients.", addresses)
        yield _gauges("slab_connections", "Clients per market.", "slab", self._by_slab())
        yield _gauge("clients_behind", "Clients whose buffer is full.", here.hub.paused)
        text = "Refused connections, by reason."
        yield _counters("connections_refused", text, "reason", stats.refused)
        text = "Closed connections, by close code; 1006 if there was no close frame."
        closed = {str(code): count for code, count in stats.closed.items()}
        yield _counters("connections_closed", text, "code", closed)
        text = "Tokens, accepted and refused."
        results = {each: stats.authentications[each] for each in ("accepted", "refused")}
        yield _counters("authentications", text, "result", results)
        yield _histogram("pong_seconds", "Time from a ping to its pong.", here.heartbeat.pongs)

    def _traffic(self) -> Iterator[Metric]:
        here, stats = self._from, self._from.stats
        yield _counter("messages_sent", "Messages sent to clients.", stats.messages_sent)
        yield _counter(
            "messages_received", "Messages received from clients.", stats.messages_received
        )
        text = "Times that a client's messages had to wait for its rate."
        yield _counter("message_waits", text, stats.message_waits)
        yield _counter("bytes_sent", "Bytes sent to clients.", stats.bytes_sent)
        yield _counter("bytes_received", "Bytes received from clients.", stats.bytes_received)
        yield _histogram("flush_seconds", "Duration of a flush.", here.flush_seconds)
        yield _histogram("flush_bytes", "Bytes written by a flush.", here.flush_bytes)
        yield _histogram("loop_lag_seconds", "Delay of the event loop.", here.loop_lag)
        yield _counter("gaps", "Gaps sent to clients.", stats.gaps)
        replays = {"memory": stats.resumed, "stream": here.replayer.total}
        yield _counters("replays", "Channels resumed, by source.", "source", replays)
        yield _gauge(
            "replays_running",
            "Replays from the stream that are running now.",
            here.replayer.running,
        )
        text = "Requests for history that wait for their answer."
        yield _gauge("answers_waiting", text, len(here.answering))
        yield _counter(
            "catch_ups", "Times that a client caught up after its buffer was full.", stats.catch_ups
        )

    def _feed(self) -> Iterator[Metric]:
        stats, hub, feed = self._from.stats, self._from.hub, self._from.feed
        kinds: dict[str, int] = {kind.name: stats.events[kind.name] for kind in KINDS}
        yield _counters("events", "Events read from the stream.", "kind", kinds)
        text = "Events that do not validate."
        yield _counters("events_rejected", text, "reason", stats.rejected)
        text = "Messages on subjects of kinds that this version does not know."
        yield _counter("events_unknown", text, stats.unknown_subjects)
        text = "Prices left out because they are older than the last one of their market."
        yield _counter("events_outdated", text, stats.outdated)
        text = "Prices that are far from the last one of their market, rejected or not."
        yield _counter("price_jumps", text, stats.price_jumps)
        yield _gauge("channels", "Channels in memory.", len(hub.book.logs))
        yield _gauge("feed_connected", "1 while connected to NATS.", feed.connected)
        yield _gauge("feed_loaded", "1 once the state is loaded.", feed.loaded)
        yield _gauge(
            "feed_lag_events", "Events in the stream that have not been read yet.", feed.lag
        )
        text = "Time since the stream's last sign of life."
        yield _gauge("feed_silent_seconds", text, feed.silent_for)
        is_stale = self._from.feed_watch.stale_since is not None
        yield _gauge("feed_stale", "1 while clients are told that the feed is stale.", is_stale)
        text = "Feed restarts, after reconnects and lost consumers."
        yield _counter("feed_restarts", text, max(feed.restarts, 0))
        yield _gauge("seq", "Stream seq of the last event that was read.", hub.book.seq)
        yield _gauge("stream_seq", "Newest known seq of the stream.", feed.stream_seq)

    def _projector(self) -> Iterator[Metric]:
        projector = self._from.projector
        writer = projector.writer
        yield _counter("candles", "Candles written by this gateway.", writer.written)
        text = "Candles that differ from those that another projector wrote."
        yield _counter("candles_differing", text, writer.differing)
        text = "Events in the stream that the projector has not read yet."
        yield _gauge("projector_lag_events", text, projector.feed.lag)
        text = "1 while another projector writes the candles."
        yield _gauge("projector_standing_by", text, bool(writer.standing_by))

    def _by_slab(self) -> dict[str, int]:
        """Name the slabs with the most clients, if events are known of them; sum up the rest."""
        logs = self._from.hub.book.logs
        known = {ALL, *(slab for (_, slab), log in logs.items() if log.latest is not None)}
        counts = Counter(self._from.slabs.limited)
        named = [(slab, count) for slab, count in counts.most_common() if slab in known]
        shown = dict(named[:MAX_SLABS])
        rest = counts.total() - sum(shown.values())
        return {**shown, OTHER: rest} if rest else shown


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"percolator_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"percolator_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"percolator_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"percolator_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, below = [], 0
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        below += count
        buckets.append((str(bound), below))
    return HistogramMetricFamily(
        f"percolator_{name}", text, buckets=buckets, sum_value=histogram.total
    )
