"""SVG charts: a histogram with bars, and a curve over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from percolator_cli.render import figures

Data = Mapping[str, Any]

WIDTH, HEIGHT = 900, 220
LEFT, BOTTOM, TOP = 60, 28, 18


def histogram(bars: Sequence[Data]) -> str:
    """Return a histogram: one bar per upper bound, in milliseconds, labelled with its count."""
    if not bars:
        return "<p>No events were delivered.</p>"
    highest = max(bar["count"] for bar in bars)
    step = (WIDTH - LEFT) / len(bars)
    parts = []
    for number, bar in enumerate(bars):
        height = bar["count"] / highest * (HEIGHT - BOTTOM - TOP)
        left, top = LEFT + number * step, HEIGHT - BOTTOM - height
        bound = bar["upToMs"]
        label = "more" if bound is None else f"≤ {bound:g} ms"
        middle = left + step / 2
        size = f'width="{step - 4:.1f}" height="{height:.1f}"'
        parts += [
            f'<rect class="bar" x="{left + 2:.1f}" y="{top:.1f}" {size}/>',
            _text(middle, top - 4, figures.count(bar["count"])),
            _text(middle, HEIGHT - BOTTOM + 16, label),
        ]
    return _svg("Latency histogram", [*parts, _axis()])


def curve(points: Sequence[Data], name: str) -> str:
    """Return a curve of the values `name` over the times `at`, in seconds."""
    if not points:
        return "<p>The test was too short for a curve.</p>"
    highest = max(1, *(point[name] for point in points))
    last = max(points[-1]["at"], 0.001)
    places = [
        (
            LEFT + point["at"] / last * (WIDTH - LEFT - 10),
            HEIGHT - BOTTOM - point[name] / highest * (HEIGHT - BOTTOM - TOP),
        )
        for point in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return _svg(
        "Deliveries per second over time",
        [
            f'<polyline class="curve" points="{line}"/>',
            _text(LEFT - 6, TOP + 4, figures.count(highest), "end"),
            _text(LEFT - 6, HEIGHT - BOTTOM, "0", "end"),
            _text(WIDTH - 10, HEIGHT - BOTTOM + 16, f"{last:.0f} s", "end"),
            _axis(),
        ],
    )


def _svg(title: str, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"<title>{title}</title>{inside}</svg>"
    )


def _axis() -> str:
    y = HEIGHT - BOTTOM
    return f'<line class="axis" x1="{LEFT}" y1="{y}" x2="{WIDTH}" y2="{y}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
