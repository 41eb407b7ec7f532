"""Which commands there are, and how each way of failing ends the process.

A command's module is imported when that command is asked for, so that `--help` and completion
stay quick. What a command does stands in its own file.
"""

import errno
import importlib
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from percolator import __version__
from percolator.errors import PercolatorError, SettingsError
from percolator_cli.app import INTERRUPTED, complain, say_no_more
from percolator_cli.command import Context, Helpful

OK, FAILED, USAGE = 0, 1, 2


class Entry(NamedTuple):
    """One command: the module that holds its Typer app as `command`, and its line in `--help`."""

    module: str
    panel: str
    summary: str


COMMANDS = {
    "serve": Entry("serve", "Gateway", "Run the gateway."),
    "stats": Entry("stats", "Gateway", "Show what a running gateway is doing."),
    "loadtest": Entry(
        "loadtest.command",
        "Gateway",
        "Load-test a running gateway and check every message.",
    ),
    "publish": Entry("publish", "Events", "Publish events to JetStream."),
    "tail": Entry("tail", "Events", "Follow channels, as a client would."),
    "doctor": Entry(
        "doctor.command",
        "Setting up",
        "Look at what a person would look at when nothing arrives.",
    ),
    "config": Entry(
        "config", "Setting up", "Show the settings in force, and where each came from."
    ),
    "token": Entry("token", "Setting up", "Sign a token for a gateway that has auth switched on."),
}


class Commands(Helpful, TyperGroup):
    """The commands by name; the listing takes their lines, and only the one that runs is loaded."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Give the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """Give what a listing shows of a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(cmd_name, help=entry.summary, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Load the command that runs."""
        self.commands = {name: self.get_command(ctx, name) for name in COMMANDS}  # to suggest from
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest

    def invoke(self, ctx: Context) -> Any:  # noqa: ANN401 - as Typer has it
        """Run the command; one whose reader has seen enough (`| head`) is done."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            say_no_more(sys.stdout)
            raise typer.Exit(OK) from None
        return result


def load(name: str) -> Any:  # noqa: ANN401 - Typer has no public name for it
    """Import a command's module and give the command."""
    module = importlib.import_module(f"percolator_cli.{COMMANDS[name].module}")
    command = typer.main.get_command(module.command)
    command.name = name
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"percolator {__version__}")
        raise typer.Exit


def root() -> Any:  # noqa: ANN401 - as above
    """Build the command that holds all others."""
    percolator = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )

    @percolator.callback()
    def _percolator(
        _version: Annotated[
            bool,
            typer.Option(
                "--version",
                callback=_show_version,
                is_eager=True,
                help="Show the version and exit.",
            ),
        ] = False,
    ) -> None:
        """Market data from NATS JetStream to WebSocket clients, nothing lost.

        Start with `percolator serve --demo`; each COMMAND --help has examples.
        """

    command = typer.main.get_command(percolator)
    install, show = command.params[-2:]
    install.help, show.hidden = "Install completion for this shell.", True  # type: ignore[attr-defined]
    return command


def run() -> int:
    """Run the command line; give its exit code. The one place where an error meets a person."""
    try:
        code = root().main(prog_name="percolator", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence
        return INTERRUPTED if _was_interrupted(error) else _explain(_innermost(error))
    return code if isinstance(code, int) else OK


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a library in C may make one of its own out of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _innermost(error: Exception) -> Exception:
    """Give the first of a group: where several tasks failed, they did so for one reason."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain(error: Exception) -> int:
    """Say in a sentence what went wrong, and give the exit code."""
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EIO):
            say_no_more(sys.stdout)
            complain(
                f"the output cannot be written ({(error.strerror or '').lower()}): "
                "make room, or send it elsewhere"
            )
            return FAILED
        case typer.TyperException():
            return _wrong_usage(error)
        case PercolatorError():
            complain(str(error))
            return USAGE if isinstance(error, SettingsError) else FAILED
        case _:
            complain(_internal(error))
            return FAILED


def _wrong_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error), err=True)
        return USAGE
    message = " ".join(error.format_message().split()).rstrip(".")
    path = context.command_path if context is not None else "percolator"
    link = " See" if message.endswith("?") else "; see"
    complain(f"{message[:1].lower()}{message[1:]}{link} `{path} --help`")
    return error.exit_code


def _internal(error: Exception) -> str:
    import tempfile  # noqa: PLC0415 - for the one case that must not happen
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="percolator-", suffix=".log", delete=False
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return f"this should not happen ({type(error).__name__}); please report it with {file.name}"
