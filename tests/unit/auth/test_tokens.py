"""Tokens: which are accepted, and that all others are refused in the same way."""

import base64
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from percolator.auth.keys import SIGNATURE_BYTES, private_key, public_key
from percolator.auth.tokens import Grant, Verifier, mint, verifier
from percolator.config.settings import Settings
from percolator.errors import SettingsError
from tests.channels import channel

NOW = 1_700_000_000.0
SECRET = "0123456789abcdef0123456789abcdef"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
Key = str | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def signed(key: Key = SECRET, algorithm: str = "HS256", /, **claims: object) -> str:
    """A token that is valid for ten seconds, unless `claims` say otherwise."""
    defaults = {"exp": NOW + 10, "channels": ["price:*"], "sub": "alice"}
    fields = {name: value for name, value in {**defaults, **claims}.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(fields, key, algorithm=algorithm)


def assembled(header: object, payload: object = None, signature: bytes = b"") -> str:
    """A token assembled by hand."""
    body = {"exp": NOW + 10, "channels": ["*"]} if payload is None else payload
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.fixture
def hs256() -> Verifier:
    """A verifier with the secret."""
    return Verifier(SECRET, lambda: NOW)


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key as a PEM file holds it."""
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


def test_a_valid_token_says_who_may_read_what_until_when(hs256: Verifier) -> None:
    """The grant repeats the claims."""
    assert hs256.verify(signed()) == Grant("alice", ("price:*",), NOW + 10)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (ED_KEY, "EdDSA")])
def test_a_public_key_verifies_what_its_private_key_signed(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, algorithm: str
) -> None:
    """It accepts nothing signed with a secret, even if the secret is the public key itself."""
    verify = Verifier(key.public_key(), lambda: NOW).verify
    assert verify(signed(key, algorithm)) is not None
    assert verify(signed(SECRET)) is None
    forged = assembled({"alg": "HS256"})
    confused = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = confused.sign(forged.rpartition(".")[0].encode(), pem(key))
    assert verify(assembled({"alg": "HS256"}, signature=signature)) is None


REFUSED = {
    "forged": signed("another secret of thirty-two bytes"),
    "signed with an empty key": assembled(
        {"alg": "HS256"},
        signature=jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            assembled({"alg": "HS256"}).rpartition(".")[0].encode(), b""
        ),
    ),
    "alg none": assembled({"alg": "none"}),
    "alg none with a signature": assembled({"alg": "none"}, signature=bytes(32)),
    "alg None": assembled({"alg": None}),
    "alg a list": assembled({"alg": ["HS256"]}),
    "another alg": signed(SECRET * 2, "HS512"),
    "no alg": assembled({"typ": "JWT"}),
    "cut off": signed().rpartition(".")[0],
    "changed": signed()[:-2] + "AA",
    "payload exchanged": ".".join(
        [signed().split(".")[0], signed(channels=["*"]).split(".")[1], signed().split(".")[2]]
    ),
    "header is a list": assembled(["HS256"]),
    "header nested too deep": "W1tb" * 1_000 + ".e30.e30",
    "detached payload": assembled({"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "critical extension": assembled({"alg": "HS256", "crit": ["x"]}),
    "empty": "",
    "dots": "..",
    "not base64": "a.b.c",
    "a lone surrogate": "\ud800",
    "not ASCII": "é.é.é",
    "expired": signed(exp=NOW),
    "no exp": signed(exp=None),
    "exp a string": assembled({"alg": "HS256"}, {"exp": "9999999999"}),
    "exp in milliseconds": signed(exp=(NOW + 10) * 1_000),
    "exp a boolean": signed(exp=True),
    "not yet valid": signed(nbf=NOW + 6),
    "issued in the future": signed(iat=NOW + 6),
    "channels not a list": signed(channels="*"),
    "another audience": signed(aud="another"),
}


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The messages verified against the key so far."""
    seen: list[bytes] = []
    verify = jwt.algorithms.HMACAlgorithm.verify

    def counting(self: jwt.algorithms.HMACAlgorithm, msg: bytes, key: bytes, sig: bytes) -> bool:
        seen.append(msg)
        return verify(self, msg, key, sig)

    monkeypatch.setattr(jwt.algorithms.HMACAlgorithm, "verify", counting)
    return iter([seen])


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_every_invalid_token_is_refused_at_the_same_cost(
    token: str, hs256: Verifier, verifications: Iterator[list[bytes]]
) -> None:
    """One answer and one verification, whatever is wrong: neither reveals the reason."""
    (seen,) = verifications
    assert hs256.verify(token) is None
    assert len(seen) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": NOW - 100, "iat": NOW - 100},
        {"nbf": NOW + 4, "iat": NOW + 4},
        {"aud": "percolator"},
        {"aud": ["another", "percolator"]},
        {"sub": None},
        {"more": {"of": "no interest"}},
    ],
)
def test_other_claims_are_accepted(claims: dict[str, Any], hs256: Verifier) -> None:
    """A clock slightly ahead, our audience, no subject, and unknown claims."""
    assert hs256.verify(signed(**claims)) is not None


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        (["price:SOL"], {"price:SOL"}),
        (["price:*"], {"price:SOL", "price:BTC"}),
        (["*:SOL"], {"price:SOL", "trades:SOL", "funding:SOL"}),
        (["funding:BTC", "trades:SOL"], {"funding:BTC", "trades:SOL"}),
        (["*:*"], {"price:SOL", "trades:SOL", "funding:SOL", "price:BTC", "funding:BTC"}),
        (["*"], {"price:SOL", "trades:SOL", "funding:SOL", "price:BTC", "funding:BTC"}),
        ([], set()),
        (["price:S*", "pri*", "**", "price:", ":SOL", "price:SOL:x", "trade:SOL"], set()),
    ],
)
def test_a_pattern_covers_the_channels_that_it_names(
    patterns: list[str], covered: set[str], hs256: Verifier
) -> None:
    """A star stands for a whole side; an invalid pattern covers nothing."""
    grant = hs256.verify(signed(channels=patterns))
    assert grant is not None
    channels = {"price:SOL", "trades:SOL", "funding:SOL", "price:BTC", "funding:BTC"}
    assert {name for name in channels if grant.covers(channel(name))} == covered


def test_a_token_without_channels_covers_nothing(hs256: Verifier) -> None:
    """Access must be granted explicitly."""
    grant = hs256.verify(signed(channels=None))
    assert grant is not None
    assert not grant.covers(channel("price:SOL"))


@given(st.text() | st.builds(".".join, st.lists(st.text(alphabet="AZaz09-_=", max_size=40))))
def test_no_token_from_a_client_raises(token: str) -> None:
    """A client can send any string; the answer is a refusal, not an exception."""
    assert Verifier(SECRET, lambda: NOW).verify(token) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_claim_from_an_issuer_raises(value: object) -> None:
    """An issuer can sign any JSON."""
    verify = Verifier(SECRET, lambda: NOW).verify
    for name in ("exp", "nbf", "iat", "sub", "channels", "aud"):
        try:
            token = signed(**{name: value})
        except (TypeError, ValueError):
            continue  # the issuer's own library refuses it
        grant = verify(token)
        assert grant is None or grant.expires > NOW


def test_a_minted_token_is_valid_until_it_expires() -> None:
    """Mint and verify agree."""
    clock = NOW
    verify = Verifier(SECRET, lambda: clock).verify
    token = mint(SECRET, ["price:*", "*:SOL"], now=NOW, seconds=60, subject="me")
    assert verify(token) == Grant("me", ("price:*", "*:SOL"), NOW + 60)
    clock = NOW + 60
    assert verify(token) is None


@pytest.mark.parametrize("key", [RSA_KEY, ED_KEY], ids=["RS256", "EdDSA"])
def test_a_token_minted_with_a_private_key_is_verified_with_its_public_key(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, tmp_path: Path
) -> None:
    """Both keys are read from files."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(pem(key))
    verify = Verifier(public_key(public), lambda: NOW).verify
    token = mint(private_key(private), ["*:SOL"], now=NOW, seconds=60, subject="me")
    assert verify(token) == Grant("me", ("*:SOL",), NOW + 60)


def test_a_token_can_become_valid_later() -> None:
    """Waiting does not extend its lifetime."""
    clock = NOW
    verify = Verifier(SECRET, lambda: clock).verify
    token = mint(SECRET, ["*"], now=NOW, seconds=60, wait=30)
    assert verify(token) is None
    clock = NOW + 31
    assert verify(token) == Grant("", ("*",), NOW + 60)


@pytest.mark.parametrize("channel", ["", "price", "price:SO*", "trade:SOL", "price:SOL:x", "é:*"])
def test_no_token_is_minted_for_an_invalid_pattern(channel: str) -> None:
    """A typing error must not make a token that allows nothing."""
    with pytest.raises(SettingsError, match="is not a channel or pattern"):
        mint(SECRET, ["price:*", channel], now=NOW, seconds=60)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [([], 60), (["*"], 0), (["*"], -1), (["*"], float("nan")), (["*"], 1e12)],
)
def test_no_token_is_minted_without_channels_or_a_lifetime(
    channels: list[str], seconds: float
) -> None:
    """Nor for a lifetime without end."""
    with pytest.raises(SettingsError, match="a token needs"):
        mint(SECRET, channels, now=NOW, seconds=seconds)


@pytest.mark.parametrize(
    "key", [pem(ED_KEY).decode(), '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAA"}']
)
def test_a_secret_that_is_a_public_key_is_refused(key: str) -> None:
    """A public key is not a secret."""
    with pytest.raises(SettingsError, match="setting auth_secret"):
        Verifier(key, lambda: NOW)
    with pytest.raises(SettingsError, match="setting auth_secret"):
        mint(key, ["*"], now=NOW, seconds=60)


def test_the_settings_choose_the_verifier(tmp_path: Path) -> None:
    """No verifier, one by secret, or one by public key."""
    file = tmp_path / "key.pem"
    file.write_bytes(pem(ED_KEY))
    assert verifier(Settings(), lambda: NOW) is None
    by_secret = verifier(Settings(auth=True, auth_secret=SECRET), lambda: NOW)
    by_key = verifier(Settings(auth=True, auth_public_key=file), lambda: NOW)
    assert by_secret is not None
    assert by_key is not None
    assert by_secret.verify(signed()) is not None
    assert by_key.verify(signed(ED_KEY, "EdDSA")) is not None
    assert by_key.verify(signed()) is None


def test_every_algorithm_has_a_decoy() -> None:
    """With every key, a malformed token costs one verification."""
    for key in (SECRET, RSA_KEY.public_key(), ED_KEY.public_key()):
        assert Verifier(key, lambda: NOW).verify("") is None
    assert set(SIGNATURE_BYTES) == {"HS256", "RS256", "EdDSA"}
