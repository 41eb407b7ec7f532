"""A NATS operator for tests: signs accounts and users, as `nsc` does.

Implements just enough of decentralised authentication for a server to require a credentials file.
"""

import base64
import binascii
import hashlib
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED, OPERATOR, ACCOUNT, USER = 18 << 3, 14 << 3, 0, 20 << 3


class Nkey:
    """A key pair in NATS form: the public key and the seed as strings."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._key = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        """The public key, which is also the name of its owner."""
        return _text(bytes([self._kind]) + self._key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """The secret seed."""
        first = bytes([SEED | self._kind >> 5, (self._kind & 31) << 3])
        return _text(first + self._key.private_bytes_raw())

    def sign(self, subject: str, name: str, claims: dict[str, object]) -> str:
        """Sign a JWT about a subject."""
        body: dict[str, object] = {
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": {"version": 2, **claims},
        }
        body["jti"] = base64.b32encode(hashlib.sha256(_json(body)).digest()).decode().rstrip("=")
        signed = _part({"typ": "JWT", "alg": "ed25519-nkey"}) + "." + _part(body)
        return f"{signed}.{_base64(self._key.sign(signed.encode()))}"


class Operator:
    """One operator with one account, and the configuration of a server that trusts it."""

    def __init__(self) -> None:
        self._operator = Nkey(OPERATOR)
        self._account, self._system = Nkey(ACCOUNT), Nkey(ACCOUNT)

    def configuration(self) -> str:
        """Return the lines for the server's configuration file."""
        operator = self._operator.sign(self._operator.public, "tests", {"type": "operator"})
        everything = dict.fromkeys(("subs", "conn", "leaf", "imports", "exports", "data"), -1)
        disk = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        limits: dict[str, object] = {**everything, "payload": -1, "wildcards": True}
        system = self._account_jwt(self._system, limits)
        account = self._account_jwt(self._account, limits | disk)
        return (
            f"operator: {operator}\nresolver: MEMORY\nsystem_account: {self._system.public}\n"
            f"resolver_preload: {{\n {self._system.public}: {system}\n"
            f" {self._account.public}: {account}\n}}\n"
        )

    def _account_jwt(self, account: Nkey, limits: dict[str, object]) -> str:
        claims: dict[str, object] = {"type": "account", "limits": limits}
        return self._operator.sign(account.public, "tests", claims)

    def write_credentials(self, path: Path) -> None:
        """Write the credentials file of a new user."""
        user = Nkey(USER)
        limits: dict[str, object] = {"type": "user", "subs": -1, "data": -1, "payload": -1}
        jwt = self._account.sign(user.public, "gateway", limits)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "Keep this file to yourself.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _part(value: object) -> str:
    return _base64(_json(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _text(raw: bytes) -> str:
    checked = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")
