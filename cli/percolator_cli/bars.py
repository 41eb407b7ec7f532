"""Progress bars on standard error; where that is no terminal, only what is worth a line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from percolator_cli import output
from percolator_cli.app import complain
from percolator_cli.render import figures

DRAW_SECONDS = 0.1

Tell = Callable[[str | None], None]
"""To be called when something has changed, with a line that is to stay where there is one."""


@contextmanager
def publishing_bar(size: int | None, state: Callable[[], tuple[int, int]]) -> Iterator[Tell]:
    """Show how much of a file is read; `state` gives the bytes read and the events published."""
    bar = BarColumn(30) if size else SpinnerColumn()
    with _progress(bar) as (progress, task):
        progress.update(task, total=size)

        def update() -> None:
            read, events = state()
            progress.update(task, completed=read, figures=f"{figures.count(events)} events")

        yield _telling(progress, update)


@contextmanager
def demo_bar(published: Callable[[], int]) -> Iterator[Tell]:
    """Show how many events were published, and for how long that goes on already."""
    with _progress(SpinnerColumn(), TimeElapsedColumn()) as (progress, task):
        start = time.monotonic()

        def update() -> None:
            events = published()
            rate = figures.rate(events / max(time.monotonic() - start, 0.1))
            progress.update(task, figures=f"{figures.count(events)} events, {rate}/s")

        yield _telling(progress, update)


@contextmanager
def _progress(*columns: ProgressColumn) -> Iterator[tuple[Progress, TaskID]]:
    console = output.console(stderr=True)
    with Progress(
        TextColumn("publishing"),
        *columns,
        TextColumn("{task.fields[figures]}"),
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    ) as progress:
        yield progress, progress.add_task("publishing", total=None, figures="")


def _telling(progress: Progress, update: Callable[[], None]) -> Tell:
    """Draw ten times a second at the most, and let lines stay above the bar."""
    drawn = 0.0

    def tell(line: str | None) -> None:
        nonlocal drawn
        if line is not None:
            if progress.disable:
                complain(line)
            else:
                progress.console.print(f"percolator: {line}", markup=False)
        if not progress.disable and time.monotonic() - drawn >= DRAW_SECONDS:
            drawn = time.monotonic()
            update()
            progress.refresh()

    return tell
