"""Rejected events: a block of lines in a terminal, one line each in a pipe."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from percolator_cli.answers import Rejection
from percolator_cli.render import figures

INDENT = 4


def block(rejection: Rejection) -> RenderableType:
    """Return which event it is on the first line, and below it the sentence and its start."""
    head = Text.assemble(
        (f"{_clock(rejection)} {_seq(rejection)}  ", "dim"), (rejection.subject, "bold")
    )
    reason = f"{rejection.reason}{_verdict(rejection)}"
    what = Text.assemble(
        (reason, "yellow" if rejection.accepted else "red"), f"  {rejection.message}"
    )
    below: list[RenderableType] = [what]
    if rejection.payload:
        below.append(Text(rejection.payload, "dim", no_wrap=True, overflow="ellipsis"))
    if rejection.id:
        below.append(Text(f"id {rejection.id}", "dim", no_wrap=True, overflow="ellipsis"))
    return Group(head, *(Padding(line, (0, 0, 0, INDENT)) for line in below))


def line(rejection: Rejection) -> str:
    """Return everything in one line."""
    head = f"{_clock(rejection)} {_seq(rejection)}  {rejection.subject}"
    reason = f"{rejection.reason}{_verdict(rejection)}"
    name = f"id {rejection.id}" if rejection.id else ""
    return "  ".join(filter(None, [head, reason, rejection.message, rejection.payload, name]))


def _clock(rejection: Rejection) -> str:
    return "--:--:--.---" if rejection.time is None else figures.clock(rejection.time)


def _seq(rejection: Rejection) -> str:
    return f"seq {rejection.seq}"


def _verdict(rejection: Rejection) -> str:
    return " (accepted)" if rejection.accepted else ""
