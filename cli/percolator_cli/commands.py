"""The table of commands, and the exit code and error message of each kind of failure.

A command's module is imported only when that command runs, so that `--help` and completion stay
fast.
"""

import errno
import importlib
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from percolator import __version__
from percolator.errors import PercolatorError, SettingsError
from percolator_cli.command import Context, HelpLayout
from percolator_cli.process import INTERRUPTED, discard_output, print_error

OK, FAILED, USAGE = 0, 1, 2


class Entry(NamedTuple):
    """One command: the module whose `command` is its Typer app, and its line in `--help`."""

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
    "tail": Entry("tail", "Events", "Follow channels and print their events."),
    "rejected": Entry("rejected.command", "Events", "Show which events were rejected, and why."),
    "doctor": Entry("doctor.command", "Setup", "Diagnose why no data arrives."),
    "config": Entry("config", "Setup", "Show the current settings and where each one comes from."),
    "token": Entry("token", "Setup", "Create a signed token for a gateway with auth enabled."),
}


class Commands(HelpLayout, TyperGroup):
    """The commands by name. The listing uses the table; only the command that runs is loaded."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """Return a stand-in with what a listing shows of a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(cmd_name, help=entry.summary, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Load the command that runs."""
        # Typer suggests a similar name from these.
        self.commands = {name: self.get_command(ctx, name) for name in COMMANDS}
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest

    def invoke(self, ctx: Context) -> Any:  # noqa: ANN401 - as Typer has it
        """Run the command. If the reader of its output closes the pipe (`| head`), it is done."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output(sys.stdout)
            raise typer.Exit(OK) from None
        return result


def load(name: str) -> Any:  # noqa: ANN401 - Typer has no public name for it
    """Import a command's module and return the command."""
    module = importlib.import_module(f"percolator_cli.{COMMANDS[name].module}")
    command = typer.main.get_command(module.command)
    command.name = name
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"percolator {__version__}")
        raise typer.Exit


def root() -> Any:  # noqa: ANN401 - as above
    """Return the root command, which holds all others."""
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
        """Send market data from NATS JetStream to WebSocket clients.

        Try it with `percolator serve --demo`. Each command has a --help with examples.
        """

    command = typer.main.get_command(percolator)
    install, show = command.params[-2:]
    install.help, show.hidden = "Install tab completion for this shell.", True  # type: ignore[attr-defined]
    return command


def run() -> int:
    """Run the command line and return its exit code. Every error is printed here."""
    try:
        code = root().main(prog_name="percolator", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - users get a sentence, never a traceback
        return INTERRUPTED if _is_interrupt(error) else _report(_innermost(error))
    return code if isinstance(code, int) else OK


def _is_interrupt(error: BaseException | None) -> bool:
    """True if Ctrl-C caused the error: a C library may replace it with an error of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _innermost(error: Exception) -> Exception:
    """Return the first error of a group: if several tasks fail, they fail for the same reason."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _report(error: Exception) -> int:
    """Print what went wrong in one sentence and return the exit code."""
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EIO):
            discard_output(sys.stdout)
            print_error(
                f"the output cannot be written ({(error.strerror or '').lower()}): "
                "free some space or redirect it elsewhere"
            )
            return FAILED
        case typer.TyperException():
            return _report_usage(error)
        case PercolatorError():
            print_error(str(error))
            return USAGE if isinstance(error, SettingsError) else FAILED
        case _:
            print_error(_internal(error))
            return FAILED


def _report_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error), err=True)
        return USAGE
    message = " ".join(error.format_message().split()).rstrip(".")
    path = context.command_path if context is not None else "percolator"
    link = " See" if message.endswith("?") else "; see"
    print_error(f"{message[:1].lower()}{message[1:]}{link} `{path} --help`")
    return error.exit_code


def _internal(error: Exception) -> str:
    import tempfile  # noqa: PLC0415 - needed only for a bug
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="percolator-", suffix=".log", delete=False
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return f"internal error ({type(error).__name__}): please report it and attach {file.name}"
