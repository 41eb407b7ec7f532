"""Every setting: its default, its unit and what it means. One table, read by everything else.

Layers, the first that speaks wins: flags, the environment (`PERCOLATOR_` and the name in
capitals), `percolator.toml` in the working directory, the default. Nothing else reads the
environment. What a value may be is in `values`.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import platformdirs
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from percolator.config.types import (
    Bool,
    Buffer,
    Capacity,
    Count,
    File,
    Folder,
    Host,
    Level,
    LineFormat,
    NatsUrl,
    Networks,
    Origins,
    Port,
    Rate,
    Seconds,
    Secret,
    SigningSecret,
    StreamName,
    allowed,
    hide_password,
)
from percolator.errors import SettingsError

ENV_PREFIX = "PERCOLATOR_"
TOML_FILE = Path("percolator.toml")
SHOWN = 64
"""So many characters of a value that cannot be used are shown."""


class Settings(BaseSettings):
    """The settings in force. Build it with `load`; a bare `Settings()` takes the defaults.

    For each limit, 0 switches it off.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    host: Host = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(3001, description="port to listen on; 0 picks a free one")
    nats_url: NatsUrl = Field(
        None, description="NATS to use, several divided by commas; none: 127.0.0.1:4222 or embedded"
    )
    nats_creds: File = Field(None, description="NATS credentials file (.creds)")
    nats_token: Secret = Field(None, description="NATS token")
    nats_tls_ca: File = Field(None, description="CA file for TLS to NATS")
    data_dir: Folder = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("percolator", appauthor=False)),
        description="where the embedded nats-server keeps its stream",
    )
    stream: StreamName = Field("PERCOLATOR", description="name of the JetStream stream")
    backlog: Count = Field(10_000, description="newest events read at start-up")
    log_capacity: Capacity = Field(1_000, description="events kept in memory for each channel")
    replay_limit: Count = Field(10_000, description="events that one subscribe may replay")

    max_connections: Count = Field(1_000, description="connections in all")
    max_connections_per_slab: Count = Field(100, description="clients on one slab")
    max_connections_per_ip: Count = Field(5, description="connections from one address")
    max_channels_per_client: Count = Field(50, description="channels of one client")
    max_message_bytes: Count = Field(4_096, description="size of a client's message, bytes")
    max_buffered_bytes: Buffer = Field(
        65_536, description="bytes that may wait in user space for one client"
    )
    messages_per_second: Rate = Field(10, description="messages a second from one client")
    message_burst: Count = Field(20, description="messages a client may send at once")
    attempts_per_second: Rate = Field(10, description="connection attempts a second of one address")
    attempt_burst: Count = Field(30, description="connection attempts an address may make at once")
    subscribe_timeout: Seconds = Field(60, description="time for a client's first message, s")

    price_interval: Seconds = Field(0.5, description="at most one price a slab in this time, s")
    ping_interval: Seconds = Field(30, description="time between pings of a connection, s")
    pong_timeout: Seconds = Field(10, description="time for the pong, s")
    trusted_proxies: Networks = Field(
        (), description="proxies whose X-Forwarded-For counts (CIDRs, divided by commas)"
    )
    drain_seconds: Seconds = Field(10, description="time for an orderly shutdown, s")

    auth: Bool = Field(False, description="require a signed token")
    auth_secret: SigningSecret = Field(None, description="HS256 secret, 32 bytes or more")
    auth_public_key: File = Field(None, description="RS256 or EdDSA public key, PEM")
    stats_token: Secret = Field(None, description="bearer token for /ws/stats and /metrics")
    allowed_origins: Origins = Field(
        (), description="origins that a browser may connect from, divided by commas; none: any"
    )
    tls_cert: File = Field(None, description="TLS certificate chain, PEM")
    tls_key: File = Field(None, description="TLS private key, PEM")
    log_level: Level = Field("info", description="least level that is logged")
    log_format: LineFormat = Field("text", description="log lines for people or JSON")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` passes counts: it reads the layers itself, to know their origins."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check what settings ask of one another."""
        if self.auth and not (self.auth_secret or self.auth_public_key):
            raise _fault("auth", "it needs a key: set auth_secret (HS256) or auth_public_key")
        if self.auth_secret and self.auth_public_key:
            raise _fault("auth_public_key", "it must not be set beside auth_secret: choose one")
        for name, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if getattr(self, name) and not getattr(self, other):
                raise _fault(name, f"it needs {other} beside it")
        for burst, rate in (
            ("message_burst", "messages_per_second"),
            ("attempt_burst", "attempts_per_second"),
        ):
            if not getattr(self, burst) and getattr(self, rate):
                raise _fault(
                    burst, f"it must be 1 or more; to switch this limit off, set {rate} to 0"
                )
        return self


def _fault(name: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(
        "settings", "it does not go with another", {"at": name, "text": text}
    )


SECRET = frozenset({"nats_token", "auth_secret", "stats_token"})
"""Settings whose values are never shown."""


def shown(settings: Settings, name: str) -> str:
    """Write a setting for people: nothing for none, and no secret, not even in an address."""
    value = getattr(settings, name)
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "(set, not shown)"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return hide_password(value) if name == "nats_url" else str(value)


@dataclass(frozen=True)
class Loaded:
    """Settings, and where the value of each came from: a flag, a variable, the file, "default"."""

    settings: Settings
    origins: Mapping[str, str]


def load(flags: Mapping[str, Any] | None = None, toml_file: Path = TOML_FILE) -> Loaded:
    """Read all four layers.

    `flags` holds what was given on the command line, by setting name; None counts as not given.
    Raises SettingsError that names the setting, where it came from and what is allowed.
    """
    layers = [_toml_layer(toml_file), _env_layer(), _flag_layer(flags or {})]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    try:
        return Loaded(Settings(**values), origins)
    except ValidationError as error:
        raise SettingsError(_sentence(error, origins)) from None


_Layer = dict[str, tuple[Any, str]]


def _flag_layer(flags: Mapping[str, Any]) -> _Layer:
    return {
        name: (value, f"--{name.replace('_', '-')}")
        for name, value in flags.items()
        if value is not None
    }


def _env_layer() -> _Layer:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable in os.environ:
        if variable.startswith(ENV_PREFIX) and variable not in known:
            raise SettingsError(
                f"environment: there is no setting {variable}{_near(variable, known)}"
            )
    found = EnvSettingsSource(Settings, env_prefix=ENV_PREFIX)()
    return {name: (value, f"{ENV_PREFIX}{name.upper()}") for name, value in found.items()}


def _toml_layer(path: Path) -> _Layer:
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: it must be a file of settings, or not be there")
    try:
        found = TomlConfigSettingsSource(Settings, toml_file=path)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    for name in found:
        if name not in Settings.model_fields:
            near = _near(name, Settings.model_fields)
            raise SettingsError(f"{path}: there is no setting {name!r}{near}")
    return {name: (value, str(path)) for name, value in found.items()}


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "settings":
        at = first["ctx"]["at"]
        return f"setting {at} (from {origins[at]}): {first['ctx']['text']}"
    name = str(first["loc"][0])
    given = "" if name in SECRET else f", not {str(first['input'])[:SHOWN]!r}"
    if name == "nats_url" and "@" in given:
        given = ""  # what stands before the @ is a password
    return f"setting {name} (from {origins[name]}): it must be {allowed_for(name)}{given}"


def allowed_for(name: str) -> str:
    """Say what is allowed for a setting, to go on from "it must be"."""
    return allowed(Settings.model_fields[name])
