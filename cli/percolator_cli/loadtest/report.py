"""The report: the measurements as plain data, with a verdict on each requirement."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from percolator.model import closes
from percolator_cli.loadtest.account import Account
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.measured import Measured, Refusal
from percolator_cli.loadtest.plan import Plan, Thresholds

Data = dict[str, Any]

BOUNDS_MS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Upper bounds of the latency histogram."""
BUSY = 0.9
"""Share of a core from which the load test itself may be the bottleneck."""
SEND_LAG_MS = 50
"""Above this p99 the load test sent its events too late."""
SHORT = 0.95
"""Below this share of the requested rate, the rate was not reached."""


def report(measured: Measured, url: str, limits: Mapping[str, int], thresholds: Thresholds) -> Data:
    """Return the report. `limits` are the gateway's limits, as in its stats."""
    data: Data = {
        "gateway": url,
        "plan": _plan(measured.plan),
        "connections": {
            "opened": measured.opened,
            "refused": list(_refused(measured.refusals, limits, measured.plan)),
            "endedEarly": list(_refused(measured.ended, limits, measured.plan)),
            "fromOneAddress": measured.one_address,
        },
        "handshakeMs": _times(measured.handshakes),
        "published": _published(measured),
        "deliveries": _deliveries(measured),
        "latencyMs": _times(measured.latency) | {"histogram": _histogram(measured.latency)},
        "checked": _checked(measured.account),
        "gaps": measured.account.gaps,
        "pricesConflated": measured.account.conflated,
        "heartbeats": measured.heartbeats,
        "feedStaleSeconds": round(measured.stale, 3),
        "loadTest": _itself(measured),
    }
    data["verdicts"] = list(_verdicts(data, measured.account.faults, thresholds))
    data["passed"] = all(each["passed"] for each in data["verdicts"] if each["threshold"])
    return data


def _plan(plan: Plan) -> Data:
    return {
        "connections": plan.connections,
        "slabs": list(plan.slabs),
        "allMarkets": plan.all_markets,
        "seconds": plan.duration,
        "eventsPerSec": plan.rate,
        "rampSeconds": plan.ramp,
    }


def _published(measured: Measured) -> Data:
    events = measured.published.total()
    return {
        "events": events,
        **{f"{kind}s": measured.published[kind] for kind in ("trade", "price", "funding")},
        "perSec": round(events / (measured.publishing or 1), 1),
        "unacknowledged": measured.unacknowledged,
    }


def _deliveries(measured: Measured) -> Data:
    seconds = measured.publishing or 1
    return {
        "messages": measured.deliveries,
        "perSec": round(measured.deliveries / seconds, 1),
        "bytes": measured.bytes,
        "bytesPerSec": round(measured.bytes / seconds),
        "overTime": list(_over_time(measured)),
    }


def _checked(account: Account) -> Data:
    return {
        "lost": account.lost,
        "announcedAsGap": account.announced,
        "doubled": account.duplicated,
        "outOfOrder": account.out_of_order,
        "altered": account.altered,
        "wrongPrev": account.wrong_prev,
    }


def _times(times: Histogram) -> Data:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: _ms(times.percentile(share)) for name, share in shares.items()}
    return {"count": times.count, **found, "max": _ms(times.max)}


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 3)


def _histogram(times: Histogram) -> list[Data]:
    """Return the counts up to each bound, without empty bars at both ends."""
    counts = times.bars([bound / 1_000 for bound in BOUNDS_MS])
    bars: list[Data] = [
        {"upToMs": bound, "count": count}
        for bound, count in zip((*BOUNDS_MS, None), counts, strict=True)
    ]
    full = [number for number, bar in enumerate(bars) if bar["count"]]
    return bars[full[0] : full[-1] + 1] if full else []


def _over_time(measured: Measured) -> Iterator[Data]:
    """Yield the rates between the samples."""
    for one, other in zip(measured.samples, measured.samples[1:], strict=False):
        seconds = other.at - one.at
        yield {
            "at": round(other.at, 3),
            "deliveriesPerSec": round((other.deliveries - one.deliveries) / seconds),
            "eventsPerSec": round((other.published - one.published) / seconds),
        }


def _refused(counts: Counter[Refusal], limits: Mapping[str, int], plan: Plan) -> Iterator[Data]:
    for refusal, count in counts.most_common():
        yield {
            "count": count,
            "code": refusal.code,
            "reason": refusal.reason,
            "why": _why(refusal, limits, plan),
        }


def _why(refusal: Refusal, limits: Mapping[str, int], plan: Plan) -> str:
    """Return which limit was exceeded and what to do about it."""
    per_slab, per_ip = limits.get("maxConnectionsPerSlab"), limits.get("maxConnectionsPerIp")
    wildcards = limits.get("maxWildcardConnections")
    reasons = {
        closes.CLOSE_SLAB.reason: f"max_wildcard_connections is {wildcards}: raise the limit"
        if plan.all_markets
        else f"max_connections_per_slab is {per_slab}: "
        "spread the clients with --slabs, or raise the limit",
        closes.CLOSE_CONNECTIONS.reason: "max_connections is "
        f"{limits.get('maxGlobalConnections')}: raise the limit",
        closes.CLOSE_CONNECTIONS_PER_IP.reason: f"max_connections_per_ip is {per_ip}: raise the "
        "limit, or test from this machine over loopback, which has many addresses",
    }
    codes = {
        "HTTP 421": "allowed_hosts does not have this host name: set another address with --url",
        "HTTP 429": "attempts_per_second is exceeded: spread the connections with --ramp",
        "HTTP 401": "the gateway requires a token: set one with --token",
        "unauthorized": "the token does not allow these channels, or --token is missing",
        str(closes.CloseCode.TRY_LATER.value): "the gateway was not ready: check its /health",
        "TLS": "the handshake failed: check the certificate of the gateway or its proxy",
        "TCP": "refused by the operating system, not by the gateway",
    }
    return reasons.get(refusal.reason) or codes.get(refusal.code, "")


def _itself(measured: Measured) -> Data:
    """Return how busy the load test itself was, and whether it was the bottleneck."""
    send_lag = _ms(measured.send_lag.percentile(0.99))
    reached = measured.published.total() / (measured.plan.rate * measured.plan.duration)
    why = ""
    if measured.cpu >= BUSY:
        why = f"the load test used {measured.cpu:.0%} of a core"
    elif send_lag > SEND_LAG_MS:
        why = f"the load test sent its events late, by up to {send_lag:.0f} ms (p99)"
    elif reached < SHORT:
        why = f"only {reached:.0%} of the requested events could be published"
    return {
        "cpuShare": round(measured.cpu, 3),
        "lateMs": send_lag,
        "bottleneck": bool(why),
        "why": why.replace("%", " %"),
    }


def _verdicts(data: Data, faults: int, thresholds: Thresholds) -> Iterator[Data]:
    checked = data["checked"]
    wrong = {
        "lost": checked["lost"],
        "duplicated": checked["doubled"],
        "out of order": checked["outOfOrder"],
        "altered": checked["altered"],
        "with a wrong prev": checked["wrongPrev"],
    }
    named = ", ".join(f"{count:,} {name}" for name, count in wrong.items() if count)
    if thresholds.lost is None:
        right = f"{data['deliveries']['messages']:,} deliveries, every event once and in order"
        text = f"faulty deliveries: {named}" if faults else right
        yield {"passed": not faults, "threshold": False, "text": text}
    else:
        text = f"{named or 'none lost, duplicated or out of order'} (allowed: {thresholds.lost:,})"
        yield {"passed": faults <= thresholds.lost, "threshold": True, "text": text}
    if thresholds.p99_ms is not None:
        p99 = data["latencyMs"]["p99"]
        within = data["latencyMs"]["count"] > 0 and p99 <= thresholds.p99_ms
        text = f"p99 latency {p99:g} ms (allowed: {thresholds.p99_ms:g} ms)"
        yield {"passed": within, "threshold": True, "text": text}
