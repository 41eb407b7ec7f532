"""Tokens: what is accepted, and that everything else is refused alike."""

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
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from percolator.auth import tokens
from percolator.auth.tokens import Grant, Verifier, mint, private_key, public_key, verifier
from percolator.config.settings import Settings
from percolator.errors import SettingsError
from tests.channels import channel

NOW = 1_700_000_000.0
SECRET = "0123456789abcdef0123456789abcdef"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
Key = str | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def signed(key: Key = SECRET, algorithm: str = "HS256", /, **claims: object) -> str:
    """A token that is good for ten seconds, unless `claims` say otherwise."""
    usual = {"exp": NOW + 10, "channels": ["price:*"], "sub": "somebody"}
    fields = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(fields, key, algorithm=algorithm)


def assembled(header: object, payload: object = None, signature: bytes = b"") -> str:
    """A token put together by hand."""
    body = {"exp": NOW + 10, "channels": ["*"]} if payload is None else payload
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.fixture
def hs256() -> Verifier:
    """A verifier with the secret."""
    return Verifier(SECRET, lambda: NOW)


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """A public key as it stands in a file."""
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


def test_a_good_token_says_who_may_read_what_until_when(hs256: Verifier) -> None:
    """The grant is what the claims say."""
    assert hs256.verify(signed()) == Grant("somebody", ("price:*",), NOW + 10)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (ED_KEY, "EdDSA")])
def test_a_public_key_verifies_what_its_private_key_signed(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, algorithm: str
) -> None:
    """And nothing that a secret signed, though the secret be the public key itself."""
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
    "alg none, signed all the same": assembled({"alg": "none"}, signature=bytes(32)),
    "alg None": assembled({"alg": None}),
    "alg a list": assembled({"alg": ["HS256"]}),
    "another alg": signed(SECRET * 2, "HS512"),
    "no alg": assembled({"typ": "JWT"}),
    "cut off": signed().rpartition(".")[0],
    "changed": signed()[:-2] + "AA",
    "payload exchanged": ".".join(
        [signed().split(".")[0], signed(channels=["*"]).split(".")[1], signed().split(".")[2]]
    ),
    "header that is a list": assembled(["HS256"]),
    "header nested too deep": "W1tb" * 1_000 + ".e30.e30",
    "detached payload": assembled({"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "critical extension": assembled({"alg": "HS256", "crit": ["x"]}),
    "empty": "",
    "dots": "..",
    "no base64": "a.b.c",
    "half of a pair": "\ud800",
    "not ASCII": "é.é.é",
    "expired": signed(exp=NOW),
    "no exp": signed(exp=None),
    "exp a text": assembled({"alg": "HS256"}, {"exp": "9999999999"}),
    "exp in milliseconds": signed(exp=(NOW + 10) * 1_000),
    "exp a boolean": signed(exp=True),
    "not yet valid": signed(nbf=NOW + 6),
    "issued in the future": signed(iat=NOW + 6),
    "channels no list": signed(channels="*"),
    "for somebody else": signed(aud="somebody else"),
}


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What was verified against the key, as it goes."""
    seen: list[bytes] = []
    verify = jwt.algorithms.HMACAlgorithm.verify

    def counting(self: jwt.algorithms.HMACAlgorithm, msg: bytes, key: bytes, sig: bytes) -> bool:
        seen.append(msg)
        return verify(self, msg, key, sig)

    monkeypatch.setattr(jwt.algorithms.HMACAlgorithm, "verify", counting)
    return iter([seen])


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_what_is_not_valid_is_refused_at_the_same_cost(
    token: str, hs256: Verifier, verifications: Iterator[list[bytes]]
) -> None:
    """One answer and one verification, whatever the token lacks: neither says why."""
    (seen,) = verifications
    assert hs256.verify(token) is None
    assert len(seen) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": NOW - 100, "iat": NOW - 100},
        {"nbf": NOW + 4, "iat": NOW + 4},
        {"aud": "percolator"},
        {"aud": ["somebody else", "percolator"]},
        {"sub": None},
        {"more": {"of": "no interest"}},
    ],
)
def test_other_claims_do_not_hinder(claims: dict[str, Any], hs256: Verifier) -> None:
    """A clock that is a little ahead, our audience, no subject, claims that we do not read."""
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
def test_a_pattern_covers_what_it_names(
    patterns: list[str], covered: set[str], hs256: Verifier
) -> None:
    """A star stands for a whole side, and for nothing less; what is no pattern covers nothing."""
    grant = hs256.verify(signed(channels=patterns))
    assert grant is not None
    channels = {"price:SOL", "trades:SOL", "funding:SOL", "price:BTC", "funding:BTC"}
    assert {name for name in channels if grant.covers(channel(name))} == covered


def test_a_token_without_channels_covers_nothing(hs256: Verifier) -> None:
    """What is not granted is not allowed."""
    grant = hs256.verify(signed(channels=None))
    assert grant is not None
    assert not grant.covers(channel("price:SOL"))


@given(st.text() | st.builds(".".join, st.lists(st.text(alphabet="AZaz09-_=", max_size=40))))
def test_no_text_makes_it_fail(token: str) -> None:
    """Whatever a client sends, the answer is no, and not an exception."""
    assert Verifier(SECRET, lambda: NOW).verify(token) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_signed_claim_makes_it_fail(value: object) -> None:
    """Nor does whatever an issuer signs."""
    verify = Verifier(SECRET, lambda: NOW).verify
    for name in ("exp", "nbf", "iat", "sub", "channels", "aud"):
        try:
            token = signed(**{name: value})
        except (TypeError, ValueError):
            continue  # the issuer's own library refuses it
        grant = verify(token)
        assert grant is None or grant.expires > NOW


def test_what_is_minted_is_valid_for_so_long() -> None:
    """The two halves agree."""
    clock = NOW
    verify = Verifier(SECRET, lambda: clock).verify
    token = mint(SECRET, ["price:*", "*:SOL"], now=NOW, seconds=60, subject="me")
    assert verify(token) == Grant("me", ("price:*", "*:SOL"), NOW + 60)
    clock = NOW + 60
    assert verify(token) is None


@pytest.mark.parametrize("key", [RSA_KEY, ED_KEY], ids=["RS256", "EdDSA"])
def test_what_is_minted_with_a_private_key_is_verified_with_its_public_one(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, tmp_path: Path
) -> None:
    """Read from a file each."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(pem(key))
    verify = Verifier(public_key(public), lambda: NOW).verify
    token = mint(private_key(private), ["*:SOL"], now=NOW, seconds=60, subject="me")
    assert verify(token) == Grant("me", ("*:SOL",), NOW + 60)


def test_a_token_may_begin_later() -> None:
    """Not before, and no longer than without."""
    clock = NOW
    verify = Verifier(SECRET, lambda: clock).verify
    token = mint(SECRET, ["*"], now=NOW, seconds=60, wait=30)
    assert verify(token) is None
    clock = NOW + 31
    assert verify(token) == Grant("", ("*",), NOW + 60)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no private key"),
        (pem(ED_KEY), "holds no private key"),
        (
            RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            "asks for a password",
        ),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "another kind",
        ),
    ],
)
def test_a_file_that_nothing_can_be_signed_with_is_named(
    content: bytes, words: str, tmp_path: Path
) -> None:
    """With what it must be."""
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"key.pem.*{words}.*it must be a private key"):
        private_key(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        private_key(tmp_path / "nothing")


@pytest.mark.parametrize("channel", ["", "price", "price:SO*", "trade:SOL", "price:SOL:x", "é:*"])
def test_nothing_is_minted_for_what_is_no_pattern(channel: str) -> None:
    """A slip must not make a token that opens nothing."""
    with pytest.raises(SettingsError, match="no channel or pattern"):
        mint(SECRET, ["price:*", channel], now=NOW, seconds=60)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [([], 60), (["*"], 0), (["*"], -1), (["*"], float("nan")), (["*"], 1e12)],
)
def test_nothing_is_minted_without_channels_or_time(channels: list[str], seconds: float) -> None:
    """Nor one that lasts for ever."""
    with pytest.raises(SettingsError, match="a token needs"):
        mint(SECRET, channels, now=NOW, seconds=seconds)


@pytest.mark.parametrize(
    "key", [pem(ED_KEY).decode(), '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAA"}']
)
def test_a_secret_that_is_a_public_key_is_refused(key: str) -> None:
    """Everybody may know it."""
    with pytest.raises(SettingsError, match="setting auth_secret"):
        Verifier(key, lambda: NOW)
    with pytest.raises(SettingsError, match="setting auth_secret"):
        mint(key, ["*"], now=NOW, seconds=60)


def test_the_settings_choose_the_verifier(tmp_path: Path) -> None:
    """None, by secret, or by public key."""
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


PRIVATE = ED_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SHORT = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505 - that it is too short is the point


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no public key"),
        (b"\xff\x00", "holds no public key"),
        (PRIVATE, "holds a private key, which belongs to whoever signs"),
        (pem(SHORT), "holds a key of another kind"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "holds a key of another kind"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused(
    content: bytes, said: str, tmp_path: Path
) -> None:
    """The sentence says what is there, and what should be."""
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"setting auth_public_key: .*key.pem {said}; it must"):
        public_key(file)


def test_both_kinds_of_public_key_are_read(tmp_path: Path) -> None:
    """RSA for RS256, Ed25519 for EdDSA."""
    for key in (RSA_KEY, ED_KEY):
        file = tmp_path / "key.pem"
        file.write_bytes(pem(key))
        assert public_key(file) == key.public_key()


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """It may go between the check of the settings and the start."""
    with pytest.raises(SettingsError, match="cannot be read"):
        public_key(tmp_path / "gone.pem")


def test_the_decoy_stands_for_every_algorithm() -> None:
    """Whatever the key, a token that cannot be verified costs a verification."""
    for key in (SECRET, RSA_KEY.public_key(), ED_KEY.public_key()):
        assert Verifier(key, lambda: NOW).verify("") is None
    assert set(tokens._SIZES) == {"HS256", "RS256", "EdDSA"}
