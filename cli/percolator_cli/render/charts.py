"""Charts as SVG: bars for a histogram, a curve over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from percolator_cli.render import figures

Data = Mapping[str, Any]

WIDTH, HEIGHT = 900, 220
LEFT, BOTTOM, TOP = 60, 28, 18


def histogram(bars: Sequence[Data]) -> str:
    """Draw counts up to each bound, in milliseconds, each bar with its count."""
    if not bars:
        return "<p>No event was delivered.</p>"
    most = max(bar["count"] for bar in bars)
    step = (WIDTH - LEFT) / len(bars)
    parts = []
    for number, bar in enumerate(bars):
        height = bar["count"] / most * (HEIGHT - BOTTOM - TOP)
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
    return _svg("Histogram of the latency", [*parts, _axis()])


def curve(points: Sequence[Data], name: str) -> str:
    """Draw the values of a name over the seconds `at`."""
    if not points:
        return "<p>The test was too short for a curve.</p>"
    most = max(1, *(point[name] for point in points))
    last = max(points[-1]["at"], 0.001)
    places = [
        (
            LEFT + point["at"] / last * (WIDTH - LEFT - 10),
            HEIGHT - BOTTOM - point[name] / most * (HEIGHT - BOTTOM - TOP),
        )
        for point in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return _svg(
        "Deliveries a second over time",
        [
            f'<polyline class="curve" points="{line}"/>',
            _text(LEFT - 6, TOP + 4, figures.count(most), "end"),
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
