"""What was seen of a gateway's limit, as a line."""

from typing import Protocol

from rich.table import Table
from rich.text import Text

NAME_COLUMNS = 30


class Verdict(Protocol):
    """What is shown. `held` is None where it could not be seen."""

    @property
    def name(self) -> str:
        """Which limit."""

    @property
    def limit(self) -> float:
        """How much it is."""

    @property
    def held(self) -> bool | None:
        """Whether it held."""

    @property
    def seen(self) -> str:
        """What was seen, in words."""


def line(verdict: Verdict, width: int, *, drawn: bool) -> Table:  # noqa: ARG001 - nothing to draw
    """Give one line, or more where it is long."""
    mark, style = {
        True: ("✓", "bold green"),
        False: ("✗", "bold red"),
        None: ("-", "dim"),
    }[verdict.held]
    table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(min_width=min(NAME_COLUMNS, width // 3))
    table.add_column(justify="right", min_width=6, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style), verdict.name, f"{verdict.limit:,g}", verdict.seen)
    return table
