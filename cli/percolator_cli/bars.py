"""Progress bars on standard error. If it is not a terminal, only errors are printed."""

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

from percolator.printable import printable
from percolator_cli import output
from percolator_cli.process import print_error
from percolator_cli.render import figures

DRAW_SECONDS = 0.1
"""Minimum seconds between two refreshes of a bar."""

Notify = Callable[[str | None], None]
"""Called on every change. A line passed to it is printed above the bar and stays."""


@contextmanager
def publishing_bar(
    size: int | None, state: Callable[[], tuple[int, int]], title: str = "publishing"
) -> Iterator[Notify]:
    """Show how much of a file was read; `state` returns bytes read and events published."""
    bar = BarColumn(30) if size else SpinnerColumn()
    with _progress(bar, title=title) as (progress, task):
        progress.update(task, total=size)

        def update() -> None:
            read, events = state()
            progress.update(task, completed=read, figures=f"{figures.count(events)} events")

        yield _throttled(progress, update)


@contextmanager
def demo_bar(published: Callable[[], int]) -> Iterator[Notify]:
    """Show how many events were published, their rate and the time elapsed."""
    with _progress(SpinnerColumn(), TimeElapsedColumn()) as (progress, task):
        start = time.monotonic()

        def update() -> None:
            events = published()
            rate = figures.rate(events / max(time.monotonic() - start, 0.1))
            progress.update(task, figures=f"{figures.count(events)} events, {rate}/s")

        yield _throttled(progress, update)


@contextmanager
def _progress(
    *columns: ProgressColumn, title: str = "publishing"
) -> Iterator[tuple[Progress, TaskID]]:
    console = output.console(stderr=True)
    with Progress(
        TextColumn(title),
        *columns,
        TextColumn("{task.fields[figures]}"),
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    ) as progress:
        yield progress, progress.add_task(title, total=None, figures="")


def _throttled(progress: Progress, update: Callable[[], None]) -> Notify:
    """Return a function that refreshes the bar at most ten times per second."""
    drawn = 0.0

    def notify(line: str | None) -> None:
        nonlocal drawn
        if line is not None:
            if progress.disable:
                print_error(line)
            else:
                progress.console.print(f"percolator: {printable(line)}")
        if not progress.disable and time.monotonic() - drawn >= DRAW_SECONDS:
            drawn = time.monotonic()
            update()
            progress.refresh()

    return notify
