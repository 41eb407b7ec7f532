"""`percolator token`: a signed token for gateways that ask for one."""

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
        help="What it opens: price:SOL, price:*, *:SOL or *, with trades and funding likewise; "
        "several are divided by commas, or the option repeated.",
        metavar="PATTERN",
    ),
]
Ttl = Annotated[str, typer.Option(help="How long it lasts: 90s, 15m, 1h or 7d.", metavar="TIME")]
NotBefore = Annotated[str, typer.Option(help="From when on, counted from now.", metavar="TIME")]
Subject = Annotated[
    str,
    typer.Option(help="Whose it is, for logs of your own.", metavar="NAME", show_default=False),
]
PrivateKey = Annotated[
    Path | None,
    typer.Option(
        help="Sign with this key, RSA or Ed25519 in PEM, instead of the secret.", metavar="FILE"
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
    """Sign a token for a gateway that has auth switched on.

    It is signed with the setting auth_secret (HS256), or with the private key whose public half
    the gateway has as auth_public_key (RS256, EdDSA). Clients send it in an auth message, as a
    bearer token or as ?token=.
    """
    from percolator.auth import keys, tokens  # noqa: PLC0415 - brings cryptography

    now = time.time()
    seconds = _span("--ttl", ttl)
    patterns = [part.strip() for each in channels for part in each.split(",") if part.strip()]
    key = keys.private_key(private_key) if private_key else _secret(load(flags).settings)
    signed = tokens.mint(
        key,
        patterns,
        now=now,
        seconds=seconds,
        subject=subject,
        wait=_span("--not-before", not_before),
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
        "percolator token --channels 'price:*,*:SOL' --subject alice --private-key key.pem",
    ),
)


def _span(option: str, text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise WrongUsageError(
            f"{option} must be a time such as 90s, 15m, 1h or 7d, not {text[:64]!r}"
        )
    return float(found[1]) * UNITS[found[2]]


def _secret(settings: Settings) -> str:
    if settings.auth_secret is None:
        raise SettingsError(
            "there is nothing to sign with: set auth_secret (PERCOLATOR_AUTH_SECRET), "
            "or name a key with --private-key"
        )
    return settings.auth_secret.get_secret_value()
