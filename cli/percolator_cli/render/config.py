"""The current settings as a table, under headings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from percolator.printable import printable

DEFAULT = "default"


class Row(NamedTuple):
    """A setting: its value as in JSON, where it comes from, and its heading."""

    name: str
    raw: Any
    origin: str
    heading: str


def table(rows: Sequence[Row], width: int, *, drawn: bool) -> Table:
    """Return the table; values other than defaults are highlighted."""
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(min_width=24, no_wrap=True)
    grid.add_column(max_width=max(width - 50, 12), overflow="fold")
    grid.add_column(overflow="fold")
    for heading in dict.fromkeys(row.heading for row in rows):
        grid.add_row(Text(heading, "bold"))
        for row in rows:
            if row.heading == heading:
                own = row.origin != DEFAULT
                style = "cyan" if own and drawn else ""
                origin = Text(row.origin, style or "dim")
                grid.add_row(f"  {row.name}", Text(printable(_shown(row.raw)), style), origin)
    return grid


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
