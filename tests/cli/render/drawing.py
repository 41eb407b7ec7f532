"""Renders to text, as a command shows it at a given width."""

from rich.console import RenderableType

from percolator_cli import output


def drawn(shown: RenderableType, width: int = 80) -> list[str]:
    """Return the lines, without colours and trailing blanks."""
    console = output.console()
    console.width = width
    with console.capture() as capture:
        console.print(shown)
    return [line.rstrip() for line in capture.get().splitlines()]
