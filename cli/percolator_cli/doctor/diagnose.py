"""Draws conclusions from the facts: findings with a verdict and, for a problem, advice."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from percolator.model.channel import ALL
from percolator.model.server_messages import Connected
from percolator.printable import printable
from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts, StreamFacts
from percolator_cli.publishing import REMEDY
from percolator_cli.render import figures

Verdict = Literal["ok", "warning", "bad", "unknown"]

OLD_SECONDS = 60.0
"""If the newest event is older, the publishers may have stopped."""
CREATE = "create it with `nats stream add --config nats/stream.json`, since create_stream is false"
SKEW_SECONDS = 2.0
"""Seconds by which a clock may be off."""
NEAR = 0.8
"""Share of a limit from which it is nearly reached."""
TEXT_CHARS = 1_000
"""Characters of a finding."""
LAGGING = 1_000
"""Events by which the gateway may be behind its stream."""


class Finding(NamedTuple):
    """The result of one check."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


def diagnose(facts: Facts) -> list[Finding]:
    """Return all findings, in the order of an event's path from NATS to a client.

    NATS and the gateway may be foreign: their text is made fit to show.
    """
    found = [
        *_nats(facts.nats),
        *(_stream(facts.nats.stream) if facts.nats.stream else ()),
        *_gateway(facts.gateway),
        *_both(facts.gateway, facts.nats),
        *(_counters(facts.gateway.stats) if facts.gateway.stats else ()),
        *_machine(facts),
    ]
    return [
        Finding(printable(name), verdict, printable(text, TEXT_CHARS), printable(advice))
        for name, verdict, text, advice in found
    ]


def _nats(nats: NatsFacts) -> Iterator[Finding]:
    if nats.trouble:
        yield Finding("NATS", "bad", nats.trouble, "" if nats.answers else REMEDY)
        return
    yield Finding("NATS", "ok", f"answers at {nats.url}, version {nats.version}")
    if nats.jetstream_trouble:
        yield Finding("JetStream", "bad", nats.jetstream_trouble)
    elif nats.stream is None:
        create = "start a gateway once to create it" if nats.gateway_creates else CREATE
        advice = f"{create}, or choose another with --stream"
        yield Finding("stream", "bad", "JetStream is enabled, but the stream is missing", advice)
    else:
        yield Finding("JetStream", "ok", "enabled")


def _stream(stream: StreamFacts) -> Iterator[Finding]:
    if stream.differs:
        text = f"{stream.name} has the wrong configuration: {'; '.join(stream.differs)}"
        yield Finding("stream", "bad", text, "fix it, or choose another stream with --stream")
    else:
        text = f"{stream.name} is configured correctly"
        yield Finding("stream", "ok", f"{text}, {figures.counted(stream.messages, 'event')}")
    for growth in stream.growth:
        yield Finding(growth.about, "warning", growth.lacks, f"run: {growth.command}")
    age, ahead = stream.newest_age, stream.newest_ahead
    if age is None:
        advice = "start your publisher, or try `percolator publish price SOL 1.5`"
        yield Finding("events", "warning", "none published yet", advice)
        return
    text = f"the newest is {figures.span(max(age, 0))} old"
    if age > OLD_SECONDS:
        advice = "check that your publisher is still running"
        yield Finding("events", "warning", text, advice)
    else:
        yield Finding("events", "ok", text)
    if stream.newest_fault:
        text = f"the newest is not valid: {stream.newest_fault}"
        advice = "fix your publisher; docs/protocol.md defines the events"
        yield Finding("events", "warning", text, advice)
    if ahead is not None and ahead > SKEW_SECONDS:
        text = f"the newest event's timestamp is {figures.span(ahead)} later than its arrival"
        advice = "set the publisher's clock: clients would compute negative ages"
        yield Finding("publisher's clock", "warning", text, advice)


def _gateway(gateway: GatewayFacts) -> Iterator[Finding]:
    if gateway.trouble:
        yield Finding("gateway", "bad", gateway.trouble)
        return
    yield Finding("gateway", "ok", f"answers at {gateway.url}")
    for name, check in (gateway.health or {}).get("checks", {}).items():
        if not check["ok"]:
            yield Finding(f"health: {name}", "bad", check.get("reason", "no reason given"))
        elif check.get("trouble"):
            advice = "events still arrive, read in pages, but later than they would"
            yield Finding(f"health: {name}", "warning", check["trouble"], advice)
    if gateway.health is not None and gateway.health.get("status") == "ok":
        yield Finding("health", "ok", "ready")
    yield from _socket(gateway)
    if gateway.clock_ahead is not None and abs(gateway.clock_ahead) > SKEW_SECONDS:
        direction = "ahead of" if gateway.clock_ahead > 0 else "behind"
        span = figures.span(abs(gateway.clock_ahead))
        text = f"the gateway's clock is {span} {direction} this machine's"
        yield Finding("clocks", "warning", text, "use NTP on both machines: tokens depend on it")
    elif gateway.clock_ahead is not None:
        yield Finding("clocks", "ok", "the gateway and this machine agree")
    if gateway.stats is None:
        yield Finding("stats", "unknown", gateway.stats_trouble)


def _socket(gateway: GatewayFacts) -> Iterator[Finding]:
    """What a client finds: the connection, the greeting, and the channels that it asks for."""
    if gateway.socket_trouble:
        advice = "check that any proxy in between supports WebSockets"
        yield Finding("WebSocket", "bad", gateway.socket_trouble, advice)
    elif gateway.socket_trouble is not None:
        yield Finding("WebSocket", "ok", "connects")
    if gateway.greeting is not None:
        yield from _greeting(gateway.greeting)
    for refusal in gateway.refused:
        yield Finding("channel", "bad", f"refused: {refusal}")
    for name in gateway.unknown:
        advice = "check the spelling: markets are case-sensitive; /markets lists them"
        advice = "check that a publisher sends such events" if name.endswith(ALL) else advice
        yield Finding("channel", "warning", f"{name} has no event yet", advice)


def _greeting(greeting: Connected) -> Iterator[Finding]:
    """What the gateway tells its clients."""
    limits, feed = greeting.limits, greeting.feed
    rate, burst = limits.messagesPerSecond, limits.messageBurst
    parts = (
        f"{rate:g} messages/s, {burst:,} at once" if rate else "any number of messages",
        f"of {limits.messageBytes:,} bytes" if limits.messageBytes else "of any size",
        f"{limits.channels:,} channels" if limits.channels else "any number of channels",
        f"{limits.replay:,} events per replay" if limits.replay else "replays of any length",
    )
    yield Finding("limits per client", "ok", ", ".join(parts))
    every = f"after {figures.span(greeting.heartbeatMs / 1_000)} without a message"
    yield Finding("heartbeats", "ok", every if greeting.heartbeatMs else "off")
    if feed.state == "live":
        yield Finding("feed", "ok", "live")
        return
    since = "" if feed.since is None else f" since {figures.clock(feed.since)}"
    text = f"stale{since}: the gateway does not hear from NATS, so what clients get is old"
    advice = "check that NATS runs, and that the gateway's machine reaches it"
    yield Finding("feed", "bad", text, advice)


def _both(gateway: GatewayFacts, nats: NatsFacts) -> Iterator[Finding]:
    """Check whether the gateway reads from this NATS."""
    if gateway.stats is None or gateway.stats["nats"] is None or nats.stream is None:
        return
    reads, holds = gateway.stats["nats"]["streamSeq"], nats.stream.last_seq
    if abs(holds - reads) > LAGGING:
        text = f"the stream is at seq {holds:,}, the gateway is at seq {reads:,}"
        advice = "check that the gateway's --nats-url and --stream are the same as here"
        yield Finding("same stream", "bad", text, advice)
    else:
        yield Finding("same stream", "ok", f"the gateway reads this stream, at seq {reads:,}")


def _counters(stats: Mapping[str, Any]) -> Iterator[Finding]:
    limits = stats["limits"]
    total, limit = stats["totalConnections"], limits["maxGlobalConnections"]
    yield _limit("connections", total, limit, "max_connections")
    slabs = dict(stats["connectionsPerSlab"])
    everything = slabs.pop(ALL, 0)
    if everything:
        limit = limits["maxWildcardConnections"]
        yield _limit("clients of all", everything, limit, "max_wildcard_connections")
    if slabs:
        slab = max(slabs, key=slabs.__getitem__)
        limit = limits["maxConnectionsPerSlab"]
        yield _limit(f"clients on {slab}", slabs[slab], limit, "max_connections_per_slab")
    lag = stats["nats"]["lag"] if stats["nats"] else 0
    if lag > LAGGING:
        advice = "check its CPU usage; add a second gateway to share the clients"
        yield Finding("lag", "warning", f"the gateway is {lag:,} events behind", advice)
    if stats["clientsBehind"]:
        text = f"{figures.counted(stats['clientsBehind'], 'client')} cannot keep up"
        advice = "they get the latest prices, and gaps for what they missed; others are unaffected"
        yield Finding("slow clients", "warning", text, advice)
    if stats["eventsRejected"]:
        text = figures.counted(stats["eventsRejected"], "invalid event")
        advice = "`percolator rejected` shows which, and why"
        yield Finding("rejected", "warning", text, advice)
    refused = sum(stats["rejectedConnections"].values())
    if refused:
        text = ", ".join(f"{reason}: {n:,}" for reason, n in stats["rejectedConnections"].items())
        yield Finding("refused", "warning", text, "see the limits in `percolator stats`")


def _limit(name: str, now: int, limit: int, setting: str) -> Finding:
    if not limit:
        return Finding(name, "ok", f"{now:,}, no limit")
    text = f"{now:,} of {limit:,}"
    if now >= limit:
        return Finding(name, "bad", text, f"more are refused: raise {setting}")
    if now >= NEAR * limit:
        return Finding(name, "warning", text, f"raise {setting} before the limit is reached")
    return Finding(name, "ok", text)


def _machine(facts: Facts) -> Iterator[Finding]:
    if not facts.is_local or facts.descriptors is None:
        return
    text = f"{facts.descriptors:,} per process"
    if facts.descriptors < facts.descriptors_wanted:
        text += f", but max_connections needs {facts.descriptors_wanted:,}"
        yield Finding("file descriptors", "bad", text, "raise the limit with ulimit -n")
    else:
        yield Finding("file descriptors", "ok", text)
