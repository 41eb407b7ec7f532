"""The settings: name, type, default and meaning of each, in one table.

Everything else derives from it: flags, help, `percolator config` and checks of the documentation.
Where values come from is in `sources`; what a value may be is in `types`.
"""

from pathlib import Path
from typing import Self

import platformdirs
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from percolator import nats_url
from percolator.config.types import (
    Bool,
    Buffer,
    Capacity,
    Count,
    Factor,
    File,
    Folder,
    Host,
    Hosts,
    InboxPrefix,
    Level,
    LineFormat,
    NatsPrefix,
    NatsUrl,
    Networks,
    Origins,
    Port,
    Rate,
    Seconds,
    Secret,
    SigningSecret,
    StreamName,
)

SECRET = frozenset({"nats_user", "nats_password", "nats_token", "auth_secret", "stats_token"})
"""Settings whose values are never shown."""
CONFLICT = "settings_conflict"
"""Type of the validation error of two settings that do not go together."""


class Settings(BaseSettings):
    """The settings in force. `sources.load` reads them; a bare `Settings()` has the defaults.

    0 switches a limit off.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    host: Host = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(3001, description="port to listen on; 0 picks a free one")
    nats_url: NatsUrl = Field(
        None,
        description="NATS servers, comma-separated; default: 127.0.0.1:4222, or an embedded server",
    )
    nats_creds: File = Field(None, description="NATS credentials file (.creds)")
    nats_user: Secret = Field(None, description="NATS user, if nats_url has none")
    nats_password: Secret = Field(None, description="password of nats_user")
    nats_token: Secret = Field(None, description="NATS token")
    nats_tls_ca: File = Field(None, description="CA file for TLS to NATS, PEM")
    nats_tls_cert: File = Field(
        None, description="certificate that the gateway shows to NATS, with its chain, PEM"
    )
    nats_tls_key: File = Field(None, description="private key of nats_tls_cert, PEM")
    nats_tls_first: Bool = Field(
        False, description="begin with TLS, for a NATS server with handshake_first"
    )
    nats_prefix: NatsPrefix = Field(
        None, description="name of this user's share of NATS, as in nats-server.conf"
    )
    nats_inbox_prefix: InboxPrefix = Field(
        None,
        description="subject under which NATS answers; default: _INBOX, with nats_prefix if set",
    )
    data_dir: Folder = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("percolator", appauthor=False)),
        description="data folder of the embedded NATS server",
    )
    stream: StreamName = Field("PERCOLATOR", description="name of the JetStream stream")
    create_stream: Bool = Field(True, description="create the stream if it does not exist")
    candles_stream: StreamName = Field(
        "PERCOLATOR_CANDLES", description="name of the JetStream stream of candles"
    )
    backlog: Count = Field(10_000, description="newest events to read at startup")
    log_capacity: Capacity = Field(1_000, description="events kept in memory per channel")
    replay_limit: Count = Field(10_000, description="maximum events replayed per subscribe")
    require_slab: Bool = Field(False, description="reject events that do not name their market")
    max_price_jump: Factor = Field(
        0, description="report a price that differs from the last one by more than this factor"
    )
    reject_price_jump: Bool = Field(
        False, description="reject such a price; after a minute without a price, any is accepted"
    )

    max_connections: Count = Field(1_000, description="maximum connections")
    max_connections_per_slab: Count = Field(100, description="maximum clients per market")
    max_wildcard_connections: Count = Field(
        100, description="maximum clients that follow all markets, with channels such as price:*"
    )
    max_connections_per_ip: Count = Field(5, description="maximum connections per IP address")
    max_channels_per_client: Count = Field(
        200, description="maximum channels per client; the channels of one market count as one"
    )
    max_message_bytes: Count = Field(4_096, description="maximum bytes of a client's message")
    max_buffered_bytes: Buffer = Field(
        65_536, description="maximum bytes that wait in user space per client"
    )
    messages_per_second: Rate = Field(10, description="messages per second from one client")
    message_burst: Count = Field(100, description="messages a client may send at once")
    attempts_per_second: Rate = Field(
        10, description="connection attempts per second from one IP address"
    )
    attempt_burst: Count = Field(
        30, description="connection attempts an IP address may make at once"
    )
    requests_per_second: Rate = Field(
        20, description="plain HTTP requests per second from one IP address"
    )
    request_burst: Count = Field(
        100, description="plain HTTP requests an IP address may make at once"
    )
    subscribe_timeout: Seconds = Field(
        60, description="seconds a client has to send its first message"
    )

    price_interval: Seconds = Field(0.5, description="minimum seconds between prices of a market")
    heartbeat_interval: Seconds = Field(
        15, description="seconds without a message after which a client gets a heartbeat"
    )
    ping_interval: Seconds = Field(30, description="seconds between pings to a client")
    pong_timeout: Seconds = Field(10, description="seconds a client has to answer a ping")
    trusted_proxies: Networks = Field(
        (), description="proxies whose X-Forwarded-For is trusted, CIDRs, comma-separated"
    )
    proxy_protocol: Bool = Field(
        False,
        description="require a PROXY protocol header (v1 or v2) from each of the trusted proxies",
    )
    drain_seconds: Seconds = Field(10, description="seconds a graceful shutdown may take")

    auth: Bool = Field(False, description="require a signed token")
    auth_secret: SigningSecret = Field(None, description="HS256 secret of at least 32 bytes")
    auth_public_key: File = Field(None, description="RS256 or EdDSA public key, PEM")
    stats_token: Secret = Field(
        None, description="bearer token for /ws/stats, /metrics and /rejected"
    )
    allowed_origins: Origins = Field(
        (),
        description="origins whose pages may connect and read, comma-separated; default: any",
    )
    allowed_hosts: Hosts = Field(
        (), description="host names that requests may name, comma-separated; default: any"
    )
    tls_cert: File = Field(None, description="TLS certificate chain, PEM")
    tls_key: File = Field(None, description="TLS private key, PEM")
    log_level: Level = Field("info", description="minimum log level")
    log_format: LineFormat = Field("text", description="format of log lines")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Accept arguments only: `sources` reads the other layers, to know each value's origin."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.auth and not (self.auth_secret or self.auth_public_key):
            raise _conflict("auth", "it needs a key: set auth_secret (HS256) or auth_public_key")
        if self.auth_secret and self.auth_public_key:
            raise _conflict(
                "auth_public_key", "it cannot be combined with auth_secret: set only one"
            )
        for name, other in (
            ("tls_cert", "tls_key"),
            ("tls_key", "tls_cert"),
            ("nats_tls_cert", "nats_tls_key"),
            ("nats_tls_key", "nats_tls_cert"),
            ("nats_user", "nats_password"),
            ("nats_password", "nats_user"),
            ("proxy_protocol", "trusted_proxies"),
            ("reject_price_jump", "max_price_jump"),
        ):
            if getattr(self, name) and not getattr(self, other):
                raise _conflict(name, f"it also needs {other}")
        if self.nats_user:
            others = {
                "nats_creds": self.nats_creds,
                "nats_token": self.nats_token,
                "a login in nats_url": any(
                    nats_url.parse(each).has_login for each in nats_url.split(self.nats_url or "x")
                ),
            }
            for other in (name for name, value in others.items() if value):
                raise _conflict("nats_user", f"it cannot be combined with {other}: set only one")
        for burst, rate in (
            ("message_burst", "messages_per_second"),
            ("attempt_burst", "attempts_per_second"),
            ("request_burst", "requests_per_second"),
        ):
            if not getattr(self, burst) and getattr(self, rate):
                raise _conflict(
                    burst, f"it must be at least 1; to switch this limit off, set {rate} to 0"
                )
        return self


def _conflict(name: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(CONFLICT, "conflicting settings", {"name": name, "text": text})
