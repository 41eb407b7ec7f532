"""The doctor's findings as a list: a mark, what was checked, the result, and what to do."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from percolator_cli.doctor.diagnose import Finding, Verdict
from percolator_cli.render import figures

NAME_COLUMNS = 18
MARKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓", "bold green"),
    "warning": ("!", "bold yellow"),
    "bad": ("✗", "bold red"),
    "unknown": ("?", "dim"),
}


def table(findings: Sequence[Finding], width: int, *, drawn: bool) -> RenderableType:  # noqa: ARG001 - nothing to draw
    """Return one line per finding, and a summary."""
    grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(min_width=min(NAME_COLUMNS, width // 3))
    grid.add_column(overflow="fold")
    for finding in findings:
        text = Text(finding.text)
        if finding.advice:
            text.append(f"\n{finding.advice}", "dim")
        grid.add_row(Text(*MARKS[finding.verdict]), finding.name, text)
    return Group(grid, Text(), _sum(findings))


def _sum(findings: Sequence[Finding]) -> Text:
    bad = sum(finding.verdict == "bad" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    if not bad and not warnings:
        return Text("No problems found.", "bold green")
    counts = [
        figures.counted(number, name)
        for number, name in ((bad, "problem"), (warnings, "warning"))
        if number
    ]
    return Text(f"{' and '.join(counts)}.", "bold red" if bad else "bold yellow")
