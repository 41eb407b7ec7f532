"""What all commands share: the layout of the help, and how negative numbers are parsed.

Nothing here depends on what a command does.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

Context = Any
Formatter = Any
"""Typer calls commands with classes other than those it exports."""

MINUS = "\N{MINUS SIGN}"
_NEGATIVE = re.compile(r"-(\.?[0-9]|inf|nan)")


class WrongUsageError(typer.TyperException):
    """Arguments that are not valid; the command exits with code 2."""

    exit_code = 2
    ctx: Context = None


class HelpLayout:
    """Help that fits a small terminal: options and commands under headings, then examples.

    In a pipe it is the same without bold headings.
    """

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return the arguments without braces."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in pieces]

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        """Write one section per heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for heading, name, meaning in parameters(self, ctx):
            sections.setdefault(heading, []).append((name, meaning))
        sections |= _commands(self, ctx)
        for heading, records in sections.items():
            if records:
                with formatter.section(_bold(heading)):
                    formatter.write_dl(records)

    def format_epilog(self, _ctx: Context, formatter: Formatter) -> None:
        """Write the examples, one per line."""
        epilog: str | None = self.epilog  # type: ignore[attr-defined]
        if epilog:
            heading, _, lines = epilog.partition("\n")
            formatter.write(f"\n{_bold(heading)}\n{lines}\n")


class Command(HelpLayout, TyperCommand):
    """A command that accepts `-1` as a value.

    Typer reads an argument that begins with a hyphen as an option. A negative number is a valid
    funding rate, and as a price it deserves a better error than "no such option: -1". Negative
    numbers are therefore parsed with a different minus sign.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the arguments; negative numbers are values, not options."""
        taking = {name for param in self.params if _takes_value(param) for name in param.opts}
        pairs = zip(["", *args], args, strict=False)
        masked = [arg if before in taking else _masked(arg) for before, arg in pairs]
        rest = super().parse_args(ctx, masked)
        ctx.params = {name: _unmasked(value) for name, value in ctx.params.items()}
        return rest

    def invoke(self, ctx: Context) -> Any:  # noqa: ANN401 - as Typer has it
        """Run the command. If it rejects its arguments, the error names this command."""
        try:
            return super().invoke(ctx)
        except WrongUsageError as error:
            error.ctx = ctx
            raise


class Group(HelpLayout, TyperGroup):
    """A group of such commands."""


def examples(*lines: str) -> str:
    """Return the epilog of a command: one example per line, ready to be typed."""
    return "\n".join(("Examples:", *(f"  {line}" for line in lines)))


def single(
    function: Callable[..., None], epilog: str, cls: type[TyperCommand] = Command
) -> typer.Typer:
    """Return a Typer app with one command, which is what `commands.load` expects of a module."""
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(cls=cls, epilog=epilog)(function)
    return one


def parameters(command: Any, ctx: Context) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - as above
    """Yield heading, name and help text of each parameter that is not hidden."""
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument):
            yield "Arguments", str(param.metavar or param.name.upper()), param.help or ""
        elif not param.hidden:
            heading = getattr(param, "rich_help_panel", None) or "Options"
            name, meaning = param.get_help_record(ctx) or ("", "")
            yield heading, name, _plainly(meaning)


def _plainly(meaning: str) -> str:
    """Rewrite Typer's `[default: 10.0; x>=0.1]` in the style of the settings: `(default: 10)`."""
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


def _unmasked(value: Any) -> Any:  # noqa: ANN401 - any parameter's value
    if isinstance(value, str):
        return "-" + value[1:] if value.startswith(MINUS) else value
    if isinstance(value, list | tuple):
        return type(value)(_unmasked(each) for each in value)
    return value
