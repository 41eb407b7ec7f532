"""Options that several commands share: settings as flags, and the gateway's address.

The flags are derived from the settings, so that there is one table of names, defaults and
meanings. All values are strings here; the settings validate them.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from percolator.config.settings import Settings
from percolator.config.types import rule_of
from percolator.errors import RequestError
from percolator_cli.command import WrongUsageError

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

NATS = (
    *("nats_url", "nats_creds", "nats_user", "nats_password", "nats_token", "nats_tls_ca"),
    *("nats_tls_cert", "nats_tls_key", "nats_tls_first", "nats_prefix", "nats_inbox_prefix"),
    *("data_dir", "stream"),
)
"""The settings that say where events are published."""

PANELS = {
    "Gateway": ("host", "port", "drain_seconds"),
    "NATS": (
        *(*NATS, "create_stream", "backlog", "require_slab"),
        *("max_price_jump", "reject_price_jump"),
    ),
    "Memory": ("log_capacity", "replay_limit", "max_buffered_bytes"),
    "Limits (0 means no limit)": (
        *("max_connections", "max_connections_per_slab", "max_connections_per_ip"),
        *("max_channels_per_client", "max_message_bytes", "messages_per_second", "message_burst"),
        *("attempts_per_second", "attempt_burst", "requests_per_second", "request_burst"),
        "subscribe_timeout",
    ),
    "Pace": ("price_interval", "heartbeat_interval", "ping_interval", "pong_timeout"),
    "Access": (
        *("auth", "auth_secret", "auth_public_key", "stats_token", "allowed_origins"),
        *("allowed_hosts", "trusted_proxies", "proxy_protocol", "tls_cert", "tls_key"),
    ),
    "Logs": ("log_level", "log_format"),
}
"""The heading of each setting in the help; a setting that is not listed goes under the last."""

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Gateway address: http, https, ws or wss (default: host and port from the settings).",
        metavar="URL",
        rich_help_panel="Gateway",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="Token, if the gateway requires one.",
        metavar="TOKEN",
        rich_help_panel="Gateway",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def with_settings(names: Iterable[str] = tuple(Settings.model_fields)) -> Decorator:
    """Return a decorator that adds each of the settings to a command as an option.

    The command takes them as one argument `flags`, by name, as `sources.load` takes them.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        wanted = list(names)

        def command(**given: Any) -> None:  # noqa: ANN401 - values parsed by Typer
            flags = {name: given.pop(name) for name in wanted}
            function(**given, flags=flags)

        own = inspect.signature(function, eval_str=True).parameters.values()
        kept = [each for each in own if each.name != "flags"]
        options = [_option(name, Settings.model_fields[name]) for name in wanted]
        command.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in (*kept, *options)}
        command.__doc__ = function.__doc__
        command.__name__ = function.__name__
        return command

    return decorate


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    switch = field.annotation is bool
    option = typer.Option(
        f"{flag}/--no-{name.replace('_', '-')}" if switch else flag,
        help=_help(field),
        metavar=None if switch else _metavar(name, field),
        rich_help_panel=panel_of(name),
    )
    kind: Any = bool | None if switch else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def panel_of(name: str) -> str:
    """Return the heading of a setting."""
    return next((panel for panel, names in PANELS.items() if name in names), list(PANELS)[-1])


def _metavar(name: str, field: FieldInfo) -> str:
    kinds = set(_kinds(field.annotation))
    if Path in kinds:
        return "DIR" if name.endswith("dir") else "FILE"
    if float in kinds:
        return "SECONDS" if "seconds" in rule_of(field) else "N"
    return "N" if int in kinds and name != "port" else name.rpartition("_")[2].upper()


def check_channels(names: Iterable[str]) -> None:
    """Check arguments that name channels. Raises WrongUsageError."""
    from percolator.client.channel import kind_of  # noqa: PLC0415 - imports websockets

    for name in names:
        try:
            kind_of(name)
        except RequestError as error:
            raise WrongUsageError(str(error)) from None


def _kinds(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - any type
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    default = _shown(field)
    return f"{text[:1].upper()}{text[1:]}{f' (default: {default})' if default else ''}."


def _shown(field: FieldInfo) -> str:
    """Return the default for the help, which must read the same on every machine."""
    default = field.get_default(call_default_factory=True)
    if default is None or default == ():
        return ""
    if isinstance(default, Path):
        return "in your data folder"
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default)
