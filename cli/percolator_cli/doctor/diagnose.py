"""Judges what is known: each finding with a verdict and, where something is wrong, what to do."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts, StreamFacts
from percolator_cli.publishing import REMEDY
from percolator_cli.render import figures

Verdict = Literal["ok", "warning", "bad", "unknown"]

OLD_SECONDS = 60.0
"""An event that is older says that the publishers may have stopped."""
SKEW_SECONDS = 2.0
NEAR = 0.8
LAGGING = 1_000


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


def diagnose(facts: Facts) -> list[Finding]:
    """Go through everything, in the order in which an event comes."""
    return [
        *_nats(facts.nats),
        *(_stream(facts.nats.stream) if facts.nats.stream else ()),
        *_gateway(facts.gateway),
        *_both(facts.gateway, facts.nats),
        *(_counters(facts.gateway.stats) if facts.gateway.stats else ()),
        *_machine(facts),
    ]


def _nats(nats: NatsFacts) -> Iterator[Finding]:
    if nats.trouble:
        yield Finding("NATS", "bad", nats.trouble, REMEDY)
        return
    yield Finding("NATS", "ok", f"answers at {nats.url}, version {nats.version}")
    if nats.jetstream_trouble:
        yield Finding("JetStream", "bad", nats.jetstream_trouble)
    elif nats.stream is None:
        advice = "start a gateway once, which creates it, or name another with --stream"
        yield Finding("stream", "bad", "JetStream is on, but the stream is not there", advice)
    else:
        yield Finding("JetStream", "ok", "is on")


def _stream(stream: StreamFacts) -> Iterator[Finding]:
    if stream.differs:
        text = f"{stream.name} is not as defined: {'; '.join(stream.differs)}"
        yield Finding("stream", "bad", text, "mend it, or choose another name with --stream")
    else:
        text = f"{stream.name} is as defined and holds {figures.count(stream.messages)} events"
        yield Finding("stream", "ok", text)
    if stream.growth is not None:
        yield Finding("kinds", "warning", stream.growth.lacks, f"run: {stream.growth.command}")
    age, ahead = stream.newest_age, stream.newest_ahead
    if age is None:
        advice = "start what publishes, or try `percolator publish price SOL 1.5`"
        yield Finding("events", "warning", "none has ever been published", advice)
        return
    text = f"the newest is {figures.span(max(age, 0))} old"
    if age > OLD_SECONDS:
        advice = "see whether what publishes is still running"
        yield Finding("events", "warning", text, advice)
    else:
        yield Finding("events", "ok", text)
    if stream.newest_fault:
        text = f"the newest is not valid: {stream.newest_fault}"
        advice = "mend what publishes it; docs/protocol.md says what an event looks like"
        yield Finding("events", "warning", text, advice)
    if ahead is not None and ahead > SKEW_SECONDS:
        text = f"the newest event is dated {figures.span(ahead)} after it came"
        advice = "set the clock of what publishes: clients would compute negative ages"
        yield Finding("publisher's clock", "warning", text, advice)


def _gateway(gateway: GatewayFacts) -> Iterator[Finding]:
    if gateway.trouble:
        yield Finding("gateway", "bad", gateway.trouble)
        return
    yield Finding("gateway", "ok", f"answers at {gateway.url}")
    for name, check in (gateway.health or {}).get("checks", {}).items():
        if not check["ok"]:
            yield Finding(f"health: {name}", "bad", check.get("reason", "it does not say why"))
    if gateway.health is not None and gateway.health.get("status") == "ok":
        yield Finding("health", "ok", "it is ready")
    if gateway.socket_trouble:
        advice = "see that what stands between lets WebSockets through"
        yield Finding("WebSocket", "bad", gateway.socket_trouble, advice)
    elif gateway.socket_trouble is not None:
        yield Finding("WebSocket", "ok", "opens, and is greeted")
    if gateway.clock_ahead is not None and abs(gateway.clock_ahead) > SKEW_SECONDS:
        where = "ahead of" if gateway.clock_ahead > 0 else "behind"
        text = f"the gateway's clock is {figures.span(abs(gateway.clock_ahead))} {where} ours"
        yield Finding("clocks", "warning", text, "set them both by NTP: tokens depend on it")
    elif gateway.clock_ahead is not None:
        yield Finding("clocks", "ok", "the gateway's and ours agree")
    if gateway.stats is None:
        yield Finding("stats", "unknown", gateway.stats_trouble)


def _both(gateway: GatewayFacts, nats: NatsFacts) -> Iterator[Finding]:
    """See whether the two talk to each other."""
    if gateway.stats is None or nats.stream is None:
        return
    reads, holds = gateway.stats["nats"]["streamSeq"], nats.stream.last_seq
    if abs(holds - reads) > LAGGING:
        text = f"the stream is at seq {holds:,}, the gateway has heard of {reads:,}"
        advice = "see that it reads from this NATS (its --nats-url) and this stream"
        yield Finding("same stream", "bad", text, advice)
    else:
        yield Finding("same stream", "ok", f"the gateway reads what this NATS holds, seq {reads:,}")


def _counters(stats: Mapping[str, Any]) -> Iterator[Finding]:
    limits = stats["limits"]
    total, most = stats["totalConnections"], limits["maxGlobalConnections"]
    yield _limit("connections", total, most, "max_connections")
    slabs = stats["connectionsPerSlab"]
    if slabs:
        slab = max(slabs, key=slabs.__getitem__)
        most = limits["maxConnectionsPerSlab"]
        yield _limit(f"clients on {slab}", slabs[slab], most, "max_connections_per_slab")
    lag = stats["nats"]["lag"]
    if lag > LAGGING:
        advice = "see how busy its core is; a second gateway takes half of the clients"
        yield Finding("lag", "warning", f"the gateway is {lag:,} events behind", advice)
    if stats["clientsBehind"]:
        text = f"{stats['clientsBehind']:,} cannot keep up"
        advice = (
            "they get the latest prices, and gaps where they missed too much; no harm to others"
        )
        yield Finding("slow clients", "warning", text, advice)
    if stats["eventsRejected"]:
        text = f"{stats['eventsRejected']:,} were no valid events"
        advice = "their seqs and reasons are published on percolator.rejected"
        yield Finding("rejected", "warning", text, advice)
    refused = sum(stats["rejectedConnections"].values())
    if refused:
        text = ", ".join(f"{reason}: {n:,}" for reason, n in stats["rejectedConnections"].items())
        yield Finding("refused", "warning", text, "see the limits in `percolator stats`")


def _limit(name: str, now: int, most: int, setting: str) -> Finding:
    if not most:
        return Finding(name, "ok", f"{now:,}, and no limit")
    text = f"{now:,} of {most:,}"
    if now >= most:
        return Finding(name, "bad", text, f"nobody else is let in: raise {setting}")
    if now >= NEAR * most:
        return Finding(name, "warning", text, f"raise {setting} before it is full")
    return Finding(name, "ok", text)


def _machine(facts: Facts) -> Iterator[Finding]:
    if not facts.is_local or facts.descriptors is None:
        return
    text = f"{facts.descriptors:,} for a process"
    if facts.descriptors < facts.descriptors_wanted:
        text += f", and max_connections needs {facts.descriptors_wanted:,}"
        yield Finding("file descriptors", "bad", text, "raise the limit with ulimit -n")
    else:
        yield Finding("file descriptors", "ok", text)
