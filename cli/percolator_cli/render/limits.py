"""The verdict on one limit of a gateway, as a line."""

from typing import Protocol

from rich.table import Table
from rich.text import Text

NAME_COLUMNS = 30


class Verdict(Protocol):
    """What is shown of a limit."""

    @property
    def name(self) -> str:
        """The limit's name."""

    @property
    def limit(self) -> float:
        """The limit's value."""

    @property
    def held(self) -> bool | None:
        """True if it held; None if it could not be tested."""

    @property
    def seen(self) -> str:
        """What was observed."""


def line(verdict: Verdict, width: int, *, drawn: bool) -> Table:  # noqa: ARG001 - nothing to draw
    """Return one line, which is folded if it is long."""
    mark, style = {
        True: ("✓", "bold green"),
        False: ("✗", "bold red"),
        None: ("-", "dim"),
    }[verdict.held]
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(min_width=min(NAME_COLUMNS, width // 3))
    table.add_column(justify="right", min_width=6, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style), verdict.name, f"{verdict.limit:,g}", verdict.seen)
    return table
