"""Keys: which files can be used to verify or to sign, and what is said about the others."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from percolator.auth.keys import private_key, public_key
from percolator.errors import SettingsError

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PRIVATE = ED_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SHORT = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505 - too short on purpose


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key as a PEM file holds it."""
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no public key"),
        (b"\xff\x00", "holds no public key"),
        (PRIVATE, "holds a private key, which only the issuer should have"),
        (pem(SHORT), "holds an unsupported key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "holds an unsupported key"),
    ],
)
def test_an_unusable_public_key_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    """The sentence says what the file holds and what it must hold."""
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"setting auth_public_key: .*key.pem {said}; it must"):
        public_key(file)


def test_rsa_and_ed25519_public_keys_are_read(tmp_path: Path) -> None:
    """RSA for RS256, Ed25519 for EdDSA."""
    for key in (RSA_KEY, ED_KEY):
        file = tmp_path / "key.pem"
        file.write_bytes(pem(key))
        assert public_key(file) == key.public_key()


def test_an_unreadable_public_key_is_refused(tmp_path: Path) -> None:
    """The file may disappear between the check of the settings and the start."""
    with pytest.raises(SettingsError, match="cannot be read"):
        public_key(tmp_path / "gone.pem")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no private key"),
        (pem(ED_KEY), "holds no private key"),
        (
            RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            "is protected by a password",
        ),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "an unsupported key",
        ),
    ],
)
def test_an_unusable_private_key_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """The sentence names the file and says what it must hold."""
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"key.pem.*{words}.*it must be a private key"):
        private_key(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        private_key(tmp_path / "nothing")
