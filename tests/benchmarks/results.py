"""Results: one row per figure, as a table for people and as JSON. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure: the values of all its repetitions, and its upper limit, if it has one."""

    scenario: str
    figure: str
    values: tuple[float, ...]
    unit: str = ""
    limit: float | None = None

    @property
    def value(self) -> float:
        """The median, which one disturbed repetition does not move."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the median is within the limit."""
        if self.limit is None:
            return ""
        return "met" if self.value <= self.limit else "MISSED"


def merge(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Join the repetitions of a scenario, row by row."""
    return [
        Row(
            rows[0].scenario,
            rows[0].figure,
            tuple(value for row in rows for value in row.values),
            rows[0].unit,
            rows[0].limit,
        )
        for rows in zip(*runs, strict=True)
    ]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with the values of all repetitions."""
    lines = ["| scenario | figure | median | all | at most | |", "|---|---|---:|---|---:|---|"]
    for row in rows:
        spread = ", ".join(number(value) for value in row.values) if len(row.values) > 1 else ""
        limit = "" if row.limit is None else number(row.limit)
        median_value = f"{number(row.value)} {row.unit}".strip()
        cells = (row.scenario, row.figure, median_value, spread, limit, row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with three significant figures."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def as_json(rows: Sequence[Row], machine: dict[str, str]) -> dict[str, Any]:
    """Return everything, for programs."""
    named = [{**asdict(row), "median": row.value, "verdict": row.verdict} for row in rows]
    return {"machine": machine, "rows": named}
