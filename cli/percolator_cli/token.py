"""`percolator token`: creates a signed token for a gateway with auth enabled."""

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import SettingsError
from percolator_cli import flags as given
from percolator_cli.command import WrongUsageError, examples, single

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "": 1}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


Patterns = Annotated[
    list[str],
    typer.Option(
        "--channels",
        help="Channels that the token allows: price:SOL, price:*, *:SOL or *, and the same with "
        "trades or funding. Comma-separated; may be repeated.",
        metavar="PATTERN",
    ),
]
Ttl = Annotated[
    str,
    typer.Option(help="How long the token is valid, such as 90s, 15m, 1h or 7d.", metavar="TIME"),
]
NotBefore = Annotated[str, typer.Option(help="Delay before the token is valid.", metavar="TIME")]
Subject = Annotated[
    str,
    typer.Option(
        help="Owner of the token (its sub claim), for your logs.",
        metavar="NAME",
        show_default=False,
    ),
]
PrivateKey = Annotated[
    Path | None,
    typer.Option(
        help="Sign with this private key (RSA or Ed25519, PEM) instead of auth_secret.",
        metavar="FILE",
    ),
]


@given.with_settings(("auth_secret",))
def token(
    *,
    flags: dict[str, Any],
    channels: Patterns,
    ttl: Ttl = "1h",
    not_before: NotBefore = "0s",
    subject: Subject = "",
    private_key: PrivateKey = None,
    as_json: given.Json = False,
) -> None:
    """Create a signed token for a gateway with auth enabled.

    The token is signed with the auth_secret setting (HS256), or with a private key that matches
    the gateway's auth_public_key (RS256 or EdDSA). Clients send it in an auth message, in the
    header Authorization: Bearer, or as ?token= in the URL.
    """
    from percolator.auth import keys, tokens  # noqa: PLC0415 - brings cryptography

    now = time.time()
    seconds = _seconds("--ttl", ttl)
    patterns = [part.strip() for each in channels for part in each.split(",") if part.strip()]
    key = keys.private_key(private_key) if private_key else _secret(load(flags).settings)
    signed = tokens.mint(
        key,
        patterns,
        now=now,
        seconds=seconds,
        subject=subject,
        wait=_seconds("--not-before", not_before),
    )
    if as_json:
        expires = datetime.fromtimestamp(int(now + seconds), UTC).isoformat()
        print(json.dumps({"token": signed, "channels": patterns, "expires": expires}))
    else:
        print(signed)


command = single(
    token,
    examples(
        "percolator token --channels 'price:*' --ttl 1h",
        "percolator token --channels 'price:*,*:SOL' --subject alice",
        "percolator token --channels '*' --ttl 7d --private-key key.pem",
    ),
)


def _seconds(option: str, text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise WrongUsageError(
            f"{option} must be a duration such as 90s, 15m, 1h or 7d, not {text[:64]!r}"
        )
    return float(found[1]) * UNITS[found[2]]


def _secret(settings: Settings) -> str:
    if settings.auth_secret is None:
        raise SettingsError(
            "there is no key to sign with: set auth_secret (PERCOLATOR_AUTH_SECRET) "
            "or use --private-key"
        )
    return settings.auth_secret.get_secret_value()
