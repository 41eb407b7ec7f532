"""NATS credentials files (.creds): a user's JWT, and the seed that answers the server's challenge.

Read here and not by the client library, which needs another package for the seed and never
returns from a file without a JWT.
"""

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from percolator.errors import NatsUnfitError

_PART = re.compile(r"-+BEGIN ([A-Z ]+?)-+\s+([\w.=-]+)\s+-+END \1-+")
_SEED_BYTES = 36
_USER_SEED = (0x95, 0x00)
"""First two bytes of a user's seed: 18 in five bits (seed), 20 in five (user), six zero bits."""


class Credentials:
    """The credentials of a NATS user."""

    def __init__(self, jwt: str, key: Ed25519PrivateKey) -> None:
        self._jwt = jwt
        self._key = key

    def jwt(self) -> bytes:
        """Return the JWT that the account's owner has signed."""
        return self._jwt.encode()

    def sign(self, nonce: str) -> bytes:
        """Return the answer to the server's challenge."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def read(path: Path) -> Credentials:
    """Read a credentials file. Raises NatsUnfitError if it is not a valid one."""
    try:
        parts = dict(_PART.findall(path.read_text("ascii")))
        return Credentials(parts["NATS USER JWT"], _key(parts["USER NKEY SEED"]))
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except (KeyError, ValueError):
        reason = "does not contain the JWT and seed of a user"
    raise NatsUnfitError(f"the NATS credentials file {path} {reason}: set nats_creds to another")


def _key(seed: str) -> Ed25519PrivateKey:
    """Decode a seed: two bytes for its type, the key, and a checksum. Raises ValueError."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    if len(raw) != _SEED_BYTES or tuple(raw[:2]) != _USER_SEED:
        raise ValueError("not the seed of a user")
    if binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise ValueError("wrong checksum of the seed")
    return Ed25519PrivateKey.from_private_bytes(raw[2:-2])
