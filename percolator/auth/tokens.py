"""Tokens: who may read what, and until when. Verifies signed JWTs, and mints them.

No I/O but for reading a key, and no clock of its own: `now` gives Unix seconds. What a
refused token lacked is never said, neither to the client nor by how long the refusal took: each
token costs one verification of a signature, also one that has none.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from percolator.config.settings import Settings
from percolator.errors import SettingsError
from percolator.model.channel import SLAB, Channel
from percolator.model.kinds import KINDS

AUDIENCE = "percolator"
"""A token that names audiences must name this one among them."""
SKEW_SECONDS = 5.0
"""So far may the clock of whoever signs be ahead of ours."""
MAX_TIME = 253_402_300_799
"""The end of the year 9999: an `exp` past it is in milliseconds, or is to last for ever."""
MIN_RSA_BITS = 2_048
_PREFIXES = "|".join(kind.prefix for kind in KINDS)
PATTERN = re.compile(rf"\*|({_PREFIXES}|\*):({SLAB.pattern}|\*)")

SigningKey = str | RSAPrivateKey | Ed25519PrivateKey
Time = Annotated[float, Field(ge=0, le=MAX_TIME, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: `channels` are patterns, `expires` is in Unix seconds."""

    subject: str
    channels: tuple[str, ...]
    expires: float

    def covers(self, channel: Channel) -> bool:
        """True if a pattern matches the channel."""
        prefix, slab = channel.kind.prefix, channel.slab
        fitting = ("*", "*:*", channel.name, f"{prefix}:*", f"*:{slab}")
        return any(pattern in self.channels for pattern in fitting)


@checked(config=ConfigDict(strict=True), slots=True)
class Claims:
    """The claims that we read; others are no business of ours."""

    exp: Time
    nbf: Time = 0
    iat: Time = 0
    sub: Annotated[str, StringConstraints(max_length=256)] = ""
    channels: list[str] = Field(default_factory=list)
    aud: str | list[str] = AUDIENCE


_CLAIMS = TypeAdapter(Claims)


class Verifier:
    """Verifies tokens that are signed with one key and one algorithm, whatever a token says."""

    def __init__(
        self, key: str | RSAPublicKey | Ed25519PublicKey, now: Callable[[], float]
    ) -> None:
        """A text is a secret for HS256. Raises SettingsError where the key is of no use."""
        self._key = key
        self._now = now
        self._algorithm = _algorithm(key)
        self._signatures = jwt.PyJWS(
            algorithms=[self._algorithm], options={"enforce_minimum_key_length": True}
        )
        self._decoy = self._make_decoy()

    def verify(self, token: str) -> Grant | None:
        """Give what a token allows; None where it is not valid now, for whatever reason."""
        payload = self._signed(token)
        if payload is None:
            return None
        try:
            claims = _CLAIMS.validate_json(payload)
        except ValidationError:
            return None
        now = self._now()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.exp <= now or max(claims.nbf, claims.iat) > now + SKEW_SECONDS:
            return None
        if AUDIENCE not in audiences:
            return None
        channels = tuple(each for each in claims.channels if PATTERN.fullmatch(each))
        return Grant(claims.sub, channels, claims.exp)

    def _signed(self, token: str) -> bytes | None:
        """Give the payload, if the signature is ours."""
        try:
            return self._decode(token)
        except jwt.InvalidSignatureError:
            return None
        except (jwt.PyJWTError, ValueError):
            pass  # it did not come to a verification: do one all the same
        try:
            self._decode(self._decoy)
        except jwt.InvalidSignatureError:
            return None
        raise AssertionError("a token that was made to be refused was accepted")

    def _decode(self, token: str) -> bytes:
        payload: bytes = self._signatures.decode(token, self._key, algorithms=[self._algorithm])
        return payload

    def _make_decoy(self) -> str:
        """Make a token with a signature that is none; the key is tried with it once."""
        parts = (
            json.dumps({"alg": self._algorithm}).encode(),
            b"{}",
            bytes(_SIZES[self._algorithm]),
        )
        decoy = ".".join(jwt.utils.base64url_encode(part).decode() for part in parts)
        try:
            self._decode(decoy)
        except jwt.InvalidSignatureError:
            return decoy
        except jwt.InvalidKeyError:
            raise _unfit_secret() from None
        raise AssertionError("a signature of zeros was accepted")


_SIZES = {"HS256": 32, "RS256": MIN_RSA_BITS // 8, "EdDSA": 64}
"""How many bytes a signature has, about."""


def _algorithm(key: SigningKey | RSAPublicKey | Ed25519PublicKey) -> str:
    if isinstance(key, str):
        return "HS256"
    return "RS256" if isinstance(key, RSAPublicKey | RSAPrivateKey) else "EdDSA"


def verifier(settings: Settings, now: Callable[[], float]) -> Verifier | None:
    """Make what the settings ask for; None where authentication is off. Raises SettingsError."""
    if not settings.auth:
        return None
    if settings.auth_public_key is not None:
        return Verifier(public_key(settings.auth_public_key), now)
    assert settings.auth_secret is not None  # or the settings would not have been taken
    return Verifier(settings.auth_secret.get_secret_value(), now)


def public_key(path: Path) -> RSAPublicKey | Ed25519PublicKey:
    """Read a public key. Raises SettingsError where it is not one that we take."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise _unfit(path, f"cannot be read ({error.strerror})") from None
    if b"PRIVATE KEY" in pem:
        raise _unfit(path, "holds a private key, which belongs to whoever signs")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit(path, "holds no public key") from None
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise _unfit(path, "holds a key of another kind")


def _unfit(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"setting auth_public_key: {path} {what}; it must be a public key in PEM, "
        f"RSA of {MIN_RSA_BITS:,} bits or more (RS256) or Ed25519 (EdDSA)"
    )


def _unfit_secret() -> SettingsError:
    return SettingsError(
        "setting auth_secret: it looks like a public key, a certificate or a JWK; "
        "it must be random text that nobody else knows"
    )


def private_key(path: Path) -> SigningKey:
    """Read a key to sign with. Raises SettingsError where it is not one that we take."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unfit_to_sign(path, f"cannot be read ({error.strerror})") from None
    except TypeError:
        raise _unfit_to_sign(path, "asks for a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit_to_sign(path, "holds no private key") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise _unfit_to_sign(path, "holds a key of another kind")


def _unfit_to_sign(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"{path} {what}; it must be a private key in PEM without a password, "
        f"RSA of {MIN_RSA_BITS:,} bits or more (RS256) or Ed25519 (EdDSA)"
    )


def mint(
    key: SigningKey,
    channels: Sequence[str],
    *,
    now: float,
    seconds: float,
    subject: str = "",
    wait: float = 0,
) -> str:
    """Sign a token that lasts so many seconds from `now`, in Unix seconds, once `wait` have passed.

    A text is a secret for HS256. Raises SettingsError where a channel is no pattern, or the time
    is none.
    """
    for channel in channels:
        if not PATTERN.fullmatch(channel):
            raise SettingsError(
                f"no channel or pattern: {channel[:64]!r}; "
                "say price:SOL, price:*, *:SOL or *, with trades and funding likewise"
            )
    if not channels or not 0 <= wait < seconds <= MAX_TIME - now:
        raise SettingsError("a token needs one channel or pattern at least, and a time to last")
    claims: dict[str, object] = {"exp": ceil(now + seconds), "iat": int(now), "aud": AUDIENCE}
    claims["channels"] = list(channels)
    if subject:
        claims["sub"] = subject
    if wait:
        claims["nbf"] = int(now + wait)
    try:
        return jwt.encode(claims, key, algorithm=_algorithm(key))
    except jwt.InvalidKeyError:
        raise _unfit_secret() from None
