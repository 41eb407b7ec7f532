"""A load test's report as one self-contained HTML page, without scripts or external resources."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from percolator_cli.render import charts, figures

Data = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5b6570; --paper: #fff; --line: #d8dee4;
  --bar: #0b7285; --good: #1a7f37; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9aa5b1; --paper: #0d1117;
  --line: #30363d; --bar: #3bc9db; --good: #3fb950; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p.plan { color: var(--dim); margin: .25rem 0 1.5rem; }
ul.verdicts { list-style: none; padding: 0; } ul.verdicts li { margin: .25rem 0; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
dl { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; }
@media (max-width: 40rem) { dl { grid-template-columns: repeat(2, 1fr); } }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--dim); }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { color: var(--dim); font-weight: 400; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--dim); font-size: 11px; }
svg .bar { fill: var(--bar); } svg .axis { stroke: var(--line); }
svg .curve { fill: none; stroke: var(--bar); stroke-width: 2; }
pre { overflow: auto; font-size: 12px; }
"""


def page(report: Data, now: str) -> str:
    """Return the page; `now` is the date and time of the test."""
    plan = report["plan"]
    slabs = ", ".join(plan["slabs"][:5]) + (" ..." if len(plan["slabs"]) > 5 else "")  # noqa: PLR2004
    followed = "all markets, events on " if plan["allMarkets"] else ""
    what = (
        f"{report['gateway']}, {plan['connections']:,} clients on {followed}{slabs}, "
        f"{plan['eventsPerSec']:,g} events per second for {plan['seconds']:g} s, {now}"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Load test of {escape(report['gateway'])}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f'<h1>Load test</h1><p class="plan">{escape(what)}</p>',
            _verdicts(report["verdicts"]),
            _tiles(report),
            "<h2>Latency of trades and funding rates</h2>",
            charts.histogram(report["latencyMs"]["histogram"]),
            "<h2>Deliveries per second</h2>",
            charts.curve(report["deliveries"]["overTime"], "deliveriesPerSec"),
            _details(report),
            "<h2>Raw data</h2><details><summary>The report as JSON</summary>",
            f"<pre>{escape(json.dumps(report, indent=2))}</pre></details>",
            "</body></html>\n",
        ]
    )


def _verdicts(verdicts: Sequence[Data]) -> str:
    lines = [
        f'<li class="{"good" if each["passed"] else "bad"}">'
        f"{'✓' if each['passed'] else '✗'} {escape(each['text'])}</li>"
        for each in verdicts
    ]
    return f'<ul class="verdicts">{"".join(lines)}</ul>'


def _tiles(report: Data) -> str:
    connections, deliveries = report["connections"], report["deliveries"]
    latency = report["latencyMs"]
    tiles = {
        "connections": f"{connections['opened']:,} of {report['plan']['connections']:,}",
        "deliveries": figures.count(deliveries["messages"]),
        "deliveries per second": figures.count(deliveries["perSec"]),
        "bytes per second": figures.size(deliveries["bytesPerSec"]),
        "latency p50": _ms(latency["p50"]),
        "latency p99": _ms(latency["p99"]),
        "latency max": _ms(latency["max"]),
        "lost": figures.count(report["checked"]["lost"]),
    }
    items = (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in tiles.items())
    return f"<dl>{''.join(items)}</dl>"


def _details(report: Data) -> str:
    checked, load, published = report["checked"], report["loadTest"], report["published"]
    handshake = report["handshakeMs"]
    rows = [
        ("handshake", ", ".join(f"{n} {_ms(handshake[n])}" for n in ("p50", "p90", "p99", "max"))),
        ("published", f"{published['events']:,} events, {published['perSec']:,g} per second"),
        ("checked", ", ".join(f"{_words(name)}: {count:,}" for name, count in checked.items())),
        ("conflated", f"{report['pricesConflated']:,} prices"),
        ("load test", f"{load['cpuShare']:.0%} of a core{'; ' * bool(load['why'])}{load['why']}"),
    ]
    for title, name in (("refused", "refused"), ("ended early", "endedEarly")):
        rows += [
            (title, f"{each['count']:,} with {each['code']}, {each['reason']}; {each['why']}")
            for each in report["connections"][name]
        ]
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<h2>Details</h2><table>{cells}</table>"


def _ms(number: float) -> str:
    return figures.millis(number / 1_000)


def _words(name: str) -> str:
    """`wrongPrev` as `wrong prev`."""
    return "".join(f" {each.lower()}" if each.isupper() else each for each in name)
