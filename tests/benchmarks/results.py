"""Results: one row a figure, as a table for people and as JSON. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure: the values of all its repetitions, and the most that it may be, if anything."""

    scenario: str
    figure: str
    values: tuple[float, ...]
    unit: str = ""
    most: float | None = None

    @property
    def value(self) -> float:
        """The median, which one disturbed repetition does not move."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the median keeps to what is asked."""
        if self.most is None:
            return ""
        return "reached" if self.value <= self.most else "MISSED"


def merge(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Put the repetitions of a scenario together, row by row."""
    return [
        Row(
            rows[0].scenario,
            rows[0].figure,
            tuple(value for row in rows for value in row.values),
            rows[0].unit,
            rows[0].most,
        )
        for rows in zip(*runs, strict=True)
    ]


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out as a Markdown table; the spread is that of the repetitions."""
    lines = ["| scenario | figure | median | all | at most | |", "|---|---|---:|---|---:|---|"]
    for row in rows:
        spread = ", ".join(number(value) for value in row.values) if len(row.values) > 1 else ""
        most = "" if row.most is None else number(row.most)
        median_value = f"{number(row.value)} {row.unit}".strip()
        cells = (row.scenario, row.figure, median_value, spread, most, row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Write a number with three figures that count, and none that do not."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def as_json(rows: Sequence[Row], machine: dict[str, str]) -> dict[str, Any]:
    """Give everything, for programs."""
    named = [{**asdict(row), "median": row.value, "verdict": row.verdict} for row in rows]
    return {"machine": machine, "rows": named}
