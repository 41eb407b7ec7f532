"""`percolator config`, `token` and `doctor` as processes."""

import json
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from percolator.auth.tokens import Grant, Verifier
from percolator.config.settings import Settings
from tests.cli.program import Program, Serving
from tests.nats_server import NatsServer

SECRET = "0123456789abcdef0123456789abcdef"


def test_config_shows_each_setting_and_where_it_came_from(program: Program) -> None:
    """Environment before file, file before default; every setting is there."""
    (program.folder / "percolator.toml").write_text("port = 8080\nbacklog = 5\n")
    env = {"PERCOLATOR_PORT": "9090", "PERCOLATOR_TRUSTED_PROXIES": "10.0.0.0/8"}
    done = program.run("config", "--json", env=env)
    assert (done.code, done.err) == (0, "")
    assert list(done.json) == list(Settings.model_fields)
    assert done.json["port"] == {"value": 9090, "from": "PERCOLATOR_PORT"}
    assert done.json["backlog"] == {"value": 5, "from": "percolator.toml"}
    assert done.json["host"] == {"value": "127.0.0.1", "from": "default"}
    assert done.json["trusted_proxies"]["value"] == ["10.0.0.0/8"]


def test_config_shows_no_secret(program: Program) -> None:
    """Neither in the table nor in JSON, nor the one within an address."""
    env = {
        "PERCOLATOR_AUTH_SECRET": SECRET,
        "PERCOLATOR_NATS_TOKEN": "t0k3n-of-nats",
        "PERCOLATOR_STATS_TOKEN": "t0k3n-of-stats",
        "PERCOLATOR_NATS_URL": "nats://user:passw0rd@one:4222,nats://two:4222",
    }
    for args in (("config",), ("config", "--json")):
        out = program.run(*args, env=env).out
        assert out.count("***") == 4
        assert "two:4222" in out
        assert not any(word in out for word in (SECRET, "t0k3n", "passw0rd", "user"))


def test_config_with_a_bad_setting_is_wrong_usage(program: Program) -> None:
    """It says which one."""
    (program.folder / "percolator.toml").write_text("prot = 8080\n")
    done = program.run("config")
    assert (done.code, done.out) == (2, "")
    assert "did you mean port?" in done.err


def test_a_token_opens_what_it_was_made_for(program: Program) -> None:
    """Patterns repeated or divided by commas, for as long as was asked, for whom was said."""
    env = {"PERCOLATOR_AUTH_SECRET": SECRET}
    args = ("token", "--channels", "price:*,*:SOL", "--channels", "trades:BTC")
    before = time.time()
    done = program.run(*args, "--ttl", "90s", "--subject", "alice", env=env)
    assert (done.code, done.err) == (0, "")
    grant = Verifier(SECRET, time.time).verify(done.out.strip())
    assert grant is not None
    assert (grant.subject, grant.channels) == ("alice", ("price:*", "*:SOL", "trades:BTC"))
    assert before + 90 <= grant.expires <= time.time() + 92


def test_a_token_lasts_an_hour_unless_it_is_told(program: Program) -> None:
    """And begins later where that is asked for."""
    env = {"PERCOLATOR_AUTH_SECRET": SECRET}
    done = program.run("token", "--channels", "*", "--not-before", "5m", "--json", env=env)
    claims = jwt.decode(done.json["token"], options={"verify_signature": False})
    assert 3_598 <= claims["exp"] - claims["iat"] <= 3_602
    assert 298 <= claims["nbf"] - claims["iat"] <= 302
    assert done.json["channels"] == claims["channels"] == ["*"]


def test_a_token_can_be_signed_with_a_private_key(program: Program, tmp_path: Path) -> None:
    """The gateway has only the public half."""
    key = ed25519.Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = program.run("token", "--channels", "price:*", "--private-key", str(file))
    grant = Verifier(key.public_key(), time.time).verify(done.out.strip())
    assert isinstance(grant, Grant)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--channels", "price:SO*"), "is not a channel or pattern"),
        (("--channels", "*", "--ttl", "soon"), "--ttl must be a time such as 90s"),
        (("--channels", "*", "--ttl", "0s"), "and a lifetime"),
        (("--channels", "*", "--private-key", "/nothing.pem"), "/nothing.pem cannot be read"),
        ((), "missing option '--channels'"),
    ],
)
def test_a_token_that_cannot_be_made_is_wrong_usage(
    program: Program, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str
) -> None:
    """One sentence, and no part of the secret in it."""
    program.settings["auth_secret"] = SECRET
    done = program.call(capsys, "token", *args)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert SECRET not in done.err
    assert done.err.count("\n") == 1


def test_without_a_key_there_is_no_token(program: Program) -> None:
    """It says what to set."""
    done = program.run("token", "--channels", "*")
    assert (done.code, done.out) == (2, "")
    assert "PERCOLATOR_AUTH_SECRET" in done.err


def verdicts(program: Program, *args: str) -> dict[str, str]:
    """Run the doctor, and give its verdicts by what was looked at; the exit code must agree."""
    done = program.run("doctor", "--json", *args)
    found = {finding["name"]: finding["verdict"] for finding in done.json}
    assert done.code == ("bad" in found.values())
    return found


@pytest.mark.usefixtures("serving")
def test_the_doctor_finds_all_well_where_it_is(percolator: Program) -> None:
    """Once there is an event."""
    assert verdicts(percolator)["events"] == "warning"
    percolator.run("publish", "price", "SOL", "1.5")
    assert set(verdicts(percolator).values()) == {"ok"}
    assert percolator.run("doctor").out.endswith("\nAll is well.\n")


def test_the_doctor_finds_that_nothing_is_there(program: Program) -> None:
    """Each with what to do."""
    done = program.run("doctor", "--nats-url", "nats://127.0.0.1:1", "--url", "127.0.0.1:1")
    assert (done.code, done.err) == (1, "")
    assert "✗ NATS" in done.out
    assert "✗ gateway" in done.out
    assert "percolator serve" in done.out
    assert done.out.endswith("\n2 faults.\n")


def test_the_doctor_finds_a_gateway_of_another_nats(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """Both answer, but not to each other; and a stream that is not there."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    assert verdicts(other, "--url", serving.ws)["stream"] == "bad"
    with other.gateway():
        lines = [
            json.dumps({"type": "trade", "slab": "SOL", "side": "long", "size": "1", "price": 1})
        ] * 1_001
        other.run("publish", "file", "-", stdin="\n".join(lines))
        found = verdicts(other, "--url", serving.ws)
    assert (found["NATS"], found["gateway"], found["same stream"]) == ("ok", "ok", "bad")


def test_the_doctor_finds_what_is_no_gateway(percolator: Program, nats_url: str) -> None:
    """Something answers there."""
    assert verdicts(percolator, "--url", nats_url.removeprefix("nats://"))["gateway"] == "bad"
