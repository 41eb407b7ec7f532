"""Tokens: signed JWTs that say who may read which channels until when. Verified and minted here.

No I/O, and no clock: `now` returns Unix seconds. A refusal never says why, neither in words nor by
the time it takes: every token costs one signature verification, even one without a signature.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated

import jwt
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from percolator.auth.keys import (
    SIGNATURE_BYTES,
    SigningKey,
    VerifyingKey,
    algorithm_of,
    invalid_secret,
    public_key,
)
from percolator.config.settings import Settings
from percolator.errors import SettingsError
from percolator.model.channel import SLAB, Channel
from percolator.model.kinds import KINDS

AUDIENCE = "percolator"
"""If a token names audiences, this must be one of them."""
SKEW_SECONDS = 5.0
"""Seconds by which the issuer's clock may be ahead of ours."""
MAX_TIME = 253_402_300_799
"""The end of the year 9999. An `exp` past it is in milliseconds, or meant to last forever."""
_PREFIXES = "|".join(kind.prefix for kind in KINDS)
PATTERN = re.compile(rf"\*|({_PREFIXES}|\*):({SLAB.pattern}|\*)")

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
    """The claims that are read; all others are ignored."""

    exp: Time
    nbf: Time = 0
    iat: Time = 0
    sub: Annotated[str, StringConstraints(max_length=256)] = ""
    channels: list[str] = Field(default_factory=list)
    aud: str | list[str] = AUDIENCE


_CLAIMS = TypeAdapter(Claims)


class Verifier:
    """Verifies tokens with one key and its algorithm, whatever algorithm a token names."""

    def __init__(self, key: VerifyingKey, now: Callable[[], float]) -> None:
        """Raises SettingsError if the key is unusable."""
        self._key = key
        self._now = now
        self._algorithm = algorithm_of(key)
        self._signatures = jwt.PyJWS(
            algorithms=[self._algorithm], options={"enforce_minimum_key_length": True}
        )
        self._decoy = self._make_decoy()

    def verify(self, token: str) -> Grant | None:
        """Return what a token allows, or None if it is not valid now."""
        payload = self._signed_payload(token)
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

    def _signed_payload(self, token: str) -> bytes | None:
        """Return the payload if the signature is valid."""
        try:
            return self._decode(token)
        except jwt.InvalidSignatureError:
            return None
        except (jwt.PyJWTError, ValueError):
            pass  # no signature was verified: verify the decoy's, for the same cost
        try:
            self._decode(self._decoy)
        except jwt.InvalidSignatureError:
            return None
        raise AssertionError("the decoy was accepted")

    def _decode(self, token: str) -> bytes:
        payload: bytes = self._signatures.decode(token, self._key, algorithms=[self._algorithm])
        return payload

    def _make_decoy(self) -> str:
        """Return a token with an invalid signature. Verifying it once also tests the key."""
        parts = (
            json.dumps({"alg": self._algorithm}).encode(),
            b"{}",
            bytes(SIGNATURE_BYTES[self._algorithm]),
        )
        decoy = ".".join(jwt.utils.base64url_encode(part).decode() for part in parts)
        try:
            self._decode(decoy)
        except jwt.InvalidSignatureError:
            return decoy
        except jwt.InvalidKeyError:
            raise invalid_secret() from None
        raise AssertionError("a signature of zeros was accepted")


def verifier(settings: Settings, now: Callable[[], float]) -> Verifier | None:
    """Return the verifier for the settings, None if auth is off. Raises SettingsError."""
    if not settings.auth:
        return None
    if settings.auth_public_key is not None:
        return Verifier(public_key(settings.auth_public_key), now)
    assert settings.auth_secret is not None  # Settings checks it
    return Verifier(settings.auth_secret.get_secret_value(), now)


def mint(
    key: SigningKey,
    channels: Sequence[str],
    *,
    now: float,
    seconds: float,
    subject: str = "",
    wait: float = 0,
) -> str:
    """Sign a token that is valid from `wait` to `seconds` after `now`, which is in Unix seconds.

    Raises SettingsError if a pattern or the time is invalid.
    """
    for channel in channels:
        if not PATTERN.fullmatch(channel):
            raise SettingsError(
                f"{channel[:64]!r} is not a channel or pattern; use price:SOL, price:*, *:SOL or * "
                "(trades and funding work in the same way)"
            )
    if not channels or not 0 <= wait < seconds <= MAX_TIME - now:
        raise SettingsError("a token needs at least one channel or pattern, and a lifetime")
    claims: dict[str, object] = {"exp": ceil(now + seconds), "iat": int(now), "aud": AUDIENCE}
    claims["channels"] = list(channels)
    if subject:
        claims["sub"] = subject
    if wait:
        claims["nbf"] = int(now + wait)
    try:
        return jwt.encode(claims, key, algorithm=algorithm_of(key))
    except jwt.InvalidKeyError:
        raise invalid_secret() from None
