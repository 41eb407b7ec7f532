"""Renders to text, as a terminal of a given width would show it."""

from rich.console import Console, RenderableType


def drawn(shown: RenderableType, width: int = 80) -> list[str]:
    """Return the lines, without colours and trailing blanks."""
    console = Console(width=width, color_system=None, force_terminal=True, highlight=False)
    with console.capture() as capture:
        console.print(shown)
    return [line.rstrip() for line in capture.get().splitlines()]
