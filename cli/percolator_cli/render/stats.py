"""A gateway's stats as a screen: totals, rates, limits and one row per market."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from percolator.model.channel import ALL
from percolator_cli.render import figures

NEAR, FULL = 0.8, 1.0
"""Shares of a limit from which it is shown in yellow and in red."""
LAGGING = 1_000
"""Events behind the stream from which the lag is shown in yellow."""
NAME_COLUMNS = 20
ROWS_ABOVE = 16
"""Rows above the first market, if no client follows all markets."""
BAR_COLUMNS = 26
RATE_COLUMNS = 49
"""Width of the rates without their history."""
RATE_DIGITS = 9
"""Maximum length of a funding rate."""
NARROW = 72
"""Columns below which less important columns are left out."""

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a gateway. `trouble` says why, or since when, it does not answer."""

    url: str
    stats: Data
    markets: Data
    now_ms: int
    """Time of the response, in Unix milliseconds."""
    trouble: str = ""
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Earlier values of the rates, by their names in the stats."""


def screen(status: Status, width: int, *, rows: int | None, drawn: bool) -> RenderableType:
    """Return the screen, at most `rows` high; without `drawn` it has no bars."""
    parts = [
        *(_head(status), Text(), _rates(status, width, drawn=drawn), Text()),
        *(_limits(status.stats, drawn=drawn and width >= NARROW), _counts(status.stats), Text()),
        _markets(status, width, None if rows is None else max(rows - _rows_above(status.stats), 1)),
    ]
    return Group(*parts)


def nothing_yet(status: Status) -> RenderableType:
    """Return what is shown before the first response."""
    return Group(Text.assemble(("percolator  ", "bold"), status.url), Text(status.trouble, "red"))


def _head(status: Status) -> RenderableType:
    stats = status.stats
    first = Text.assemble(("percolator  ", "bold"), status.url)
    if status.trouble:
        first.append(f"  {status.trouble}", "bold red")
    else:
        first.append(f"  up {figures.span(stats['uptimeSeconds'])}", "dim")
    return Group(*(_one_line(line) for line in (first, _nats(stats["nats"]))))


def _nats(nats: Data | None) -> Text:
    title = ("NATS        ", "bold")
    if nats is None:
        return Text.assemble(title, ("unknown", "dim"))
    state = ("connected", "green") if nats["connected"] else ("not connected", "bold red")
    lag = ("", "yellow")[nats["lag"] > LAGGING]
    return Text.assemble(
        title,
        state,
        f"  seq {figures.count(nats['streamSeq'])}",
        (f"  lag {figures.count(nats['lag'])}", lag),
    )


def _rates(status: Status, width: int, *, drawn: bool) -> Table:
    """The rates over the last minute, with their history."""
    stats = status.stats
    table = _grid()
    table.add_column(min_width=10, no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", min_width=10, no_wrap=True)
    with_history = drawn and bool(status.history) and width >= NARROW
    if with_history:
        table.add_column()
    titles = ("per second", "total", "sent", "received")
    table.add_row(*(Text(title, "dim") for title in titles))
    rows = (
        (
            "messages",
            "messagesPerSec",
            figures.rate,
            "messagesSentPerSec",
            "messagesReceivedPerSec",
        ),
        ("bytes", "bytesPerSec", figures.size, "bytesSentPerSec", "bytesReceivedPerSec"),
        ("events", "eventsPerSec", figures.rate),
    )
    for title, name, shown, *parts in rows:
        cells: list[str | Text] = [title, Text(shown(stats[name]), "bold")]
        cells += [shown(stats[part]) for part in parts] or ["", ""]
        if with_history:
            line = figures.sparkline(status.history.get(name, ()), width - RATE_COLUMNS)
            cells.append(Text(line, "cyan"))
        table.add_row(*cells)
    return table


def _limits(stats: Data, *, drawn: bool) -> Table:
    """How full the limits are, and the counts of problems."""
    limits = stats["limits"]
    slabs = _slabs(stats)
    busiest = max(slabs, key=slabs.__getitem__, default="")
    everything = stats["connectionsPerSlab"].get(ALL)
    table = _grid()
    table.add_column(min_width=NAME_COLUMNS, max_width=NAME_COLUMNS, no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", min_width=6, no_wrap=True)
    table.add_column(no_wrap=True)
    for title, now, limit in (
        ("connections", stats["totalConnections"], limits["maxGlobalConnections"]),
        (f"on {busiest or 'a market'}", slabs.get(busiest, 0), limits["maxConnectionsPerSlab"]),
        ("on all markets", everything, limits.get("maxWildcardConnections", 0)),
    ):
        if now is None:
            continue
        style = _fullness(now, limit)
        line = figures.bar(now, limit, BAR_COLUMNS) if drawn else ""
        of = f"of {figures.count(limit)}" if limit else "no limit"
        cells = (figures.count(now), of, figures.share(now, limit), line)
        table.add_row(title, *(Text(cell, style) for cell in cells))
    for title, name in (("slow clients", "clientsBehind"), ("events rejected", "eventsRejected")):
        number = stats[name]
        table.add_row(title, Text(figures.count(number), "yellow" if number else ""))
    return table


def _counts(stats: Data) -> Table:
    """The counts of refused and closed connections, by reason and by code."""
    table = _grid()
    table.add_column(min_width=NAME_COLUMNS, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for title, name in (("refused", "rejectedConnections"), ("closed", "closed")):
        counts = sorted(stats[name].items(), key=lambda item: -item[1])
        shown = ", ".join(f"{reason}: {figures.count(number)}" for reason, number in counts)
        table.add_row(title, Text(shown or "none", "" if shown else "dim"))
    return table


def _markets(status: Status, width: int, rows: int | None) -> RenderableType:
    """The markets, sorted by their number of clients."""
    slabs = _slabs(status.stats)
    names = sorted({*slabs, *status.markets}, key=lambda name: (-slabs.get(name, 0), name))
    if not names:
        return Text("no markets yet", "dim")
    limit = status.stats["limits"]["maxConnectionsPerSlab"]
    table = _grid()
    narrow = width < NARROW
    columns = NAME_COLUMNS // 2 if narrow else NAME_COLUMNS
    table.add_column(min_width=columns, max_width=columns, no_wrap=True)
    titles = ["clients", "price", *([] if narrow else ["mark", "funding"]), "last event"]
    for title in titles:
        columns = 11 if title == "price" else 7
        table.add_column(justify="right", min_width=columns, no_wrap=True)
    table.add_row(Text("market", "dim"), *(Text(title, "dim") for title in titles))
    shown = names if rows is None or len(names) <= rows else names[: max(rows - 1, 0)]
    for name in shown:
        cells = _market(status.markets.get(name, {}), status.now_ms)
        clients = slabs.get(name, 0)
        cells["clients"] = Text(figures.count(clients), _fullness(clients, limit))
        table.add_row(Text(name), *(cells[title] for title in titles))
    if len(shown) == len(names):
        return table
    hidden = figures.counted(len(names) - len(shown), "more market")
    return Group(table, Text(f"and {hidden}", "dim"))


def _market(market: Data, now_ms: int) -> dict[str, str | Text]:
    price = market.get("price", {})
    found = {"price": price.get("price"), "mark": price.get("markPrice")}
    cells: dict[str, str | Text] = {
        name: "" if value is None else figures.number(value) for name, value in found.items()
    }
    rate = market.get("funding", {}).get("rate") or ""
    cells["funding"] = rate if len(rate) <= RATE_DIGITS else f"{rate[: RATE_DIGITS - 1]}…"
    times = [part["timestamp"] for part in market.values() if isinstance(part, Mapping)]
    age = max(now_ms - max(times), 0) / 1_000 if times else None
    cells["last event"] = "" if age is None else figures.span(age)
    return cells


def _slabs(stats: Data) -> dict[str, int]:
    """Return the clients of each market, without those of all markets."""
    return {slab: n for slab, n in stats["connectionsPerSlab"].items() if slab != ALL}


def _rows_above(stats: Data) -> int:
    """Return the rows above the first market, including the heading."""
    return ROWS_ABOVE + (ALL in stats["connectionsPerSlab"])


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0), pad_edge=False)


def _fullness(now: int, limit: int) -> str:
    part = now / limit if limit else 0
    return "bold red" if part >= FULL else "yellow" if part >= NEAR else ""


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
