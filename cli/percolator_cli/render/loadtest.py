"""A load test's report for the terminal: figures, a histogram and the verdicts."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from percolator_cli.render import figures

Data = Mapping[str, Any]
TITLE_COLUMNS = 13
BAR_COLUMNS = 44


def shown(report: Data, width: int, *, drawn: bool) -> RenderableType:
    """Return the whole report; without `drawn` it has no bars."""
    table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(min_width=TITLE_COLUMNS, no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for title, text in _lines(report):
        table.add_row(title, text)
    bar_width = min(BAR_COLUMNS, width - TITLE_COLUMNS - 20) if drawn else 0
    histogram = list(_histogram(report["latencyMs"]["histogram"], bar_width))
    parts: list[RenderableType] = [_head(report), Text(), table]
    if histogram:
        parts += [Text(), *histogram]
    return Group(*parts, Text(), *_verdicts(report))


def _head(report: Data) -> Text:
    return Text.assemble(("percolator loadtest  ", "bold"), report["gateway"])


def _plan(plan: Data) -> str:
    slabs = plan["slabs"]
    where = slabs[0] if len(slabs) == 1 else f"{len(slabs):,} markets"
    followed, on = ("all markets", f" on {where}") if plan["allMarkets"] else (where, "")
    rate, seconds = plan["eventsPerSec"], plan["seconds"]
    return (
        f"{plan['connections']:,} clients on {followed}, {rate:,g} events/s{on} for {seconds:g} s"
    )


def _lines(report: Data) -> Iterator[tuple[str, str | Text]]:
    connections, published = report["connections"], report["published"]
    deliveries, latency = report["deliveries"], report["latencyMs"]
    yield "plan", _plan(report["plan"])
    yield "connections", f"{connections['opened']:,} of {report['plan']['connections']:,}"
    for title, name in (("refused", "refused"), ("ended early", "endedEarly")):
        for each in connections[name]:
            text = f"{each['count']:,} with {each['code']}, {each['reason'] or 'no reason given'}"
            yield title, Text(f"{text} ({each['why']})" if each["why"] else text, "yellow")
    yield "handshake", _times(report["handshakeMs"])
    kinds = ", ".join(
        f"{published[f'{kind}s']:,} {kind}s" for kind in ("trade", "price", "funding")
    )
    yield "published", f"{published['events']:,} events, {published['perSec']:,g}/s ({kinds})"
    if published["unacknowledged"]:
        yield "", Text(f"{published['unacknowledged']:,} not acknowledged by JetStream", "yellow")
    sizes = figures.size(deliveries["bytes"]), figures.size(deliveries["bytesPerSec"])
    counts = f"{deliveries['messages']:,}, {deliveries['perSec']:,.0f}/s"
    yield "deliveries", f"{counts}, {sizes[0]}, {sizes[1]}/s"
    yield (
        "conflated",
        f"{report['pricesConflated']:,} prices, replaced by newer ones",
    )
    if report["heartbeats"]:
        yield "heartbeats", f"{report['heartbeats']:,}"
    if report["feedStaleSeconds"]:
        text = (
            f"the feed was stale for {report['feedStaleSeconds']:,.1f} s: the gateway did not hear"
        )
        yield "feed", Text(f"{text} from NATS", "yellow")
    yield "latency", _times(latency)
    yield "load test", _itself(report["loadTest"])


def _times(times: Data) -> str:
    shown = (
        f"{name} {figures.millis(times[name] / 1_000)}" for name in ("p50", "p90", "p99", "max")
    )
    return "  ".join(shown)


def _itself(load: Data) -> Text:
    text = Text(f"{load['cpuShare']:.0%} of a core".replace("%", " %"))
    if load["bottleneck"]:
        text.append(f"; it was the bottleneck ({load['why']})", "yellow")
    return text


def _histogram(bars: list[Data], width: int) -> Iterator[Text]:
    highest = max((bar["count"] for bar in bars), default=0)
    for bar in bars:
        upto = bar["upToMs"]
        bound = f"up to {upto:g} ms" if upto is not None else "longer"
        line = figures.bar(bar["count"], highest, width)
        yield Text.assemble(f"{bound:>{TITLE_COLUMNS}} ", (line, "cyan"), f"{bar['count']:>12,}")


def _verdicts(report: Data) -> Iterator[Text]:
    for each in report["verdicts"]:
        mark = ("✓ ", "bold green") if each["passed"] else ("✗ ", "bold red")
        yield Text.assemble(mark, each["text"])
