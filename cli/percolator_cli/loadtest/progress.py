"""Progress of a load test, as a bar on standard error; nothing if that is not a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn

from percolator_cli import output
from percolator_cli.loadtest.run import OnProgress
from percolator_cli.loadtest.run import Progress as Step
from percolator_cli.render import figures

DRAW_SECONDS = 0.1
"""Minimum seconds between two refreshes of the bar."""


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """Yield a function to call with each step; it draws new phases, and otherwise every 0.1 s."""
    console = output.console(stderr=True)
    columns = (
        TextColumn("{task.description:22}"),
        BarColumn(28),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("connecting", total=1.0, figures="")
        drawn, phase = 0.0, ""

        def on_progress(step: Step) -> None:
            nonlocal drawn, phase
            now = time.monotonic()
            if now - drawn >= DRAW_SECONDS or step.phase != phase:
                drawn, phase = now, step.phase
                count = f"{figures.count(step.deliveries)} deliveries" if step.deliveries else ""
                bar.update(
                    task, description=step.phase, completed=step.share, figures=count, refresh=True
                )

        yield on_progress
