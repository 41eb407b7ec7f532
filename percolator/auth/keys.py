"""Keys that sign and verify tokens: read from PEM files, and the algorithm that each is for.

A string is an HS256 secret, an RSA key is for RS256, an Ed25519 key for EdDSA.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from percolator.errors import SettingsError

MIN_RSA_BITS = 2_048
SIGNATURE_BYTES = {"HS256": 32, "RS256": MIN_RSA_BITS // 8, "EdDSA": 64}
"""Usual size of a signature by algorithm."""

PublicKey = RSAPublicKey | Ed25519PublicKey
VerifyingKey = str | PublicKey
SigningKey = str | RSAPrivateKey | Ed25519PrivateKey


def algorithm_of(key: SigningKey | VerifyingKey) -> str:
    """Return the JWT algorithm of a key."""
    if isinstance(key, str):
        return "HS256"
    return "RS256" if isinstance(key, RSAPublicKey | RSAPrivateKey) else "EdDSA"


def public_key(path: Path) -> PublicKey:
    """Read the key in the setting `auth_public_key`. Raises SettingsError if it is unusable."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise _invalid_public_key(path, f"cannot be read ({error.strerror})") from None
    if b"PRIVATE KEY" in pem:
        raise _invalid_public_key(path, "holds a private key, which only the issuer should have")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid_public_key(path, "holds no public key") from None
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise _invalid_public_key(path, "holds an unsupported key")


def private_key(path: Path) -> SigningKey:
    """Read a key to sign with. Raises SettingsError if it is unusable."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _invalid_private_key(path, f"cannot be read ({error.strerror})") from None
    except TypeError:
        raise _invalid_private_key(path, "is protected by a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid_private_key(path, "holds no private key") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise _invalid_private_key(path, "holds an unsupported key")


def invalid_secret() -> SettingsError:
    """Return the error for a secret that PyJWT recognizes as public."""
    return SettingsError(
        "setting auth_secret: it looks like a public key, a certificate or a JWK; "
        "it must be a random string that is kept secret"
    )


def _invalid_public_key(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"setting auth_public_key: {path} {what}; it must be a public key in PEM, "
        f"RSA of at least {MIN_RSA_BITS:,} bits (RS256) or Ed25519 (EdDSA)"
    )


def _invalid_private_key(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"{path} {what}; it must be a private key in PEM without a password, "
        f"RSA of at least {MIN_RSA_BITS:,} bits (RS256) or Ed25519 (EdDSA)"
    )
