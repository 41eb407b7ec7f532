"""What all commands have in common on the command line: how help looks, and how numbers are read.

Nothing here knows what a command does.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

Context = Any
Formatter = Any
"""Typer's own are of other classes than those that it has its commands called with."""

MINUS = "\N{MINUS SIGN}"
_NEGATIVE = re.compile(r"-(\.?[0-9]|inf|nan)")


class WrongUsageError(typer.TyperException):
    """Arguments that cannot be what was meant; the command exits with 2."""

    exit_code = 2
    ctx: Context = None


class Helpful:
    """Help that fits a small terminal: options and commands under their headings, then examples.

    It is the same in a pipe, but for the bold headings.
    """

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Name the arguments without braces."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in pieces]

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        """Write a section for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for heading, name, meaning in parameters(self, ctx):
            sections.setdefault(heading, []).append((name, meaning))
        sections |= _commands(self, ctx)
        for heading, records in sections.items():
            if records:
                with formatter.section(_bold(heading)):
                    formatter.write_dl(records)

    def format_epilog(self, _ctx: Context, formatter: Formatter) -> None:
        """Write the examples, a line each."""
        epilog: str | None = self.epilog  # type: ignore[attr-defined]
        if epilog:
            heading, _, lines = epilog.partition("\n")
            formatter.write(f"\n{_bold(heading)}\n{lines}\n")


class Command(Helpful, TyperCommand):
    """A command that takes `-1` as a value.

    Typer reads an argument that begins with a hyphen as an option. A number, which for a funding
    rate is a legal value and for a price deserves a better answer than "no such option: -1", is
    therefore parsed with another minus sign.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse, with negative numbers taken for arguments."""
        taking = {name for param in self.params if _takes_value(param) for name in param.opts}
        pairs = zip(["", *args], args, strict=False)
        masked = [arg if before in taking else _masked(arg) for before, arg in pairs]
        rest = super().parse_args(ctx, masked)
        ctx.params = {name: _unmasked(value) for name, value in ctx.params.items()}
        return rest

    def invoke(self, ctx: Context) -> Any:  # noqa: ANN401 - as Typer has it
        """Run it; where it finds its arguments wrong, say of which command they are."""
        try:
            return super().invoke(ctx)
        except WrongUsageError as error:
            error.ctx = ctx
            raise


class Group(Helpful, TyperGroup):
    """A group of such commands."""


def examples(*lines: str) -> str:
    """Make the epilog of a command: a line each, as it can be typed."""
    return "\n".join(("Examples:", *(f"  {line}" for line in lines)))


def single(
    function: Callable[..., None], epilog: str, cls: type[TyperCommand] = Command
) -> typer.Typer:
    """Make a Typer app of one command, as `commands.load` expects it of a module."""
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(cls=cls, epilog=epilog)(function)
    return one


def parameters(command: Any, ctx: Context) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - as above
    """Give heading, name and meaning of each parameter that is not hidden."""
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument):
            yield "Arguments", str(param.metavar or param.name.upper()), param.help or ""
        elif not param.hidden:
            heading = getattr(param, "rich_help_panel", None) or "Options"
            name, meaning = param.get_help_record(ctx) or ("", "")
            yield heading, name, _plainly(meaning)


def _plainly(meaning: str) -> str:
    """Say `[default: 10.0; x>=0.1]` as the settings say it: `(default: 10)`."""
    text, _, extra = meaning.partition("  [")
    default = re.match(r"default: (.*?)(\.0)?(; |\]$)", extra)
    return f"{text.removesuffix('.')} (default: {default[1]})." if default else text


def _commands(command: Any, ctx: Context) -> dict[str, list[tuple[str, str]]]:  # noqa: ANN401
    found: dict[str, list[tuple[str, str]]] = {}
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            each: Any = command.get_command(ctx, name)
            heading = getattr(each, "rich_help_panel", None) or "Commands"
            summary = (each.help or "").partition("\n")[0]
            found.setdefault(heading, []).append((name, summary))
    return found


def _bold(heading: str) -> str:
    return typer.style(heading, bold=True)


def _takes_value(param: Any) -> bool:  # noqa: ANN401 - Typer has no public name for it
    return isinstance(param, TyperOption) and not param.is_flag


def _masked(argument: str) -> str:
    return MINUS + argument[1:] if _NEGATIVE.match(argument) else argument


def _unmasked(value: Any) -> Any:  # noqa: ANN401 - whatever a parameter holds
    if isinstance(value, str):
        return "-" + value[1:] if value.startswith(MINUS) else value
    if isinstance(value, list | tuple):
        return type(value)(_unmasked(each) for each in value)
    return value
