"""`percolator config`, `token` and `doctor` as processes."""

import json
import re
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.sync.client import connect

from percolator.auth.tokens import Grant, Verifier
from percolator.config.settings import Settings
from tests.cli.program import Program, Serving
from tests.nats_server import NatsServer

SECRET = "0123456789abcdef0123456789abcdef"


def test_config_shows_every_setting_and_where_it_comes_from(program: Program) -> None:
    """The environment takes precedence over the file, and the file over the default."""
    (program.folder / "percolator.toml").write_text("port = 8080\nbacklog = 5\n")
    env = {"PERCOLATOR_PORT": "9090", "PERCOLATOR_TRUSTED_PROXIES": "10.0.0.0/8"}
    done = program.run("config", "--json", env=env)
    assert (done.code, done.err) == (0, "")
    assert list(done.json) == list(Settings.model_fields)
    assert done.json["port"] == {"value": 9090, "from": "PERCOLATOR_PORT"}
    assert done.json["backlog"] == {"value": 5, "from": "percolator.toml"}
    assert done.json["host"] == {"value": "127.0.0.1", "from": "default"}
    assert done.json["trusted_proxies"]["value"] == ["10.0.0.0/8"]


def test_config_hides_every_secret(program: Program) -> None:
    """Secrets are hidden in the table, in JSON and within addresses."""
    env = {
        "PERCOLATOR_AUTH_SECRET": SECRET,
        "PERCOLATOR_NATS_TOKEN": "t0k3n-of-nats",
        "PERCOLATOR_STATS_TOKEN": "t0k3n-of-stats",
        "PERCOLATOR_NATS_URL": "nats://alice:passw0rd@one:4222,nats://two:4222",
    }
    user = {"PERCOLATOR_NATS_USER": "alice", "PERCOLATOR_NATS_PASSWORD": "passw0rd"}
    for args in (("config",), ("config", "--json")):
        for each, hidden in ((env, 4), (user, 2)):
            out = program.run(*args, env=each).out
            assert out.count("***") == hidden
            assert ("two:4222" in out) == (each is env)
            assert not any(word in out for word in (SECRET, "t0k3n", "passw0rd", "alice"))


def test_config_rejects_an_unknown_setting_as_wrong_usage(program: Program) -> None:
    """The error suggests the nearest name."""
    (program.folder / "percolator.toml").write_text("prot = 8080\n")
    done = program.run("config")
    assert (done.code, done.out) == (2, "")
    assert "did you mean port?" in done.err


def test_a_token_allows_the_requested_channels_for_the_requested_time(program: Program) -> None:
    """Patterns may be comma-separated, and the option may be repeated."""
    env = {"PERCOLATOR_AUTH_SECRET": SECRET}
    args = ("token", "--channels", "price:*,*:SOL", "--channels", "trades:BTC")
    before = time.time()
    done = program.run(*args, "--ttl", "90s", "--subject", "alice", env=env)
    assert (done.code, done.err) == (0, "")
    grant = Verifier(SECRET, time.time).verify(done.out.strip())
    assert grant is not None
    assert (grant.subject, grant.channels) == ("alice", ("price:*", "*:SOL", "trades:BTC"))
    assert before + 90 <= grant.expires <= time.time() + 92


def test_a_token_is_valid_for_an_hour_by_default(program: Program) -> None:
    """With --not-before, it becomes valid later."""
    env = {"PERCOLATOR_AUTH_SECRET": SECRET}
    done = program.run("token", "--channels", "*", "--not-before", "5m", "--json", env=env)
    claims = jwt.decode(done.json["token"], options={"verify_signature": False})
    assert 3_598 <= claims["exp"] - claims["iat"] <= 3_602
    assert 298 <= claims["nbf"] - claims["iat"] <= 302
    assert done.json["channels"] == claims["channels"] == ["*"]


def test_a_token_can_be_signed_with_a_private_key(program: Program, tmp_path: Path) -> None:
    """The gateway verifies it with the public key."""
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
        (("--channels", "*", "--ttl", "soon"), "--ttl must be a duration such as 90s"),
        (("--channels", "*", "--ttl", "0s"), "and a lifetime"),
        (("--channels", "*", "--private-key", "/nothing.pem"), "/nothing.pem cannot be read"),
        ((), "missing option '--channels'"),
    ],
)
def test_a_token_that_cannot_be_made_is_wrong_usage(
    program: Program, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str
) -> None:
    """The error is one sentence and does not contain the secret."""
    program.settings["auth_secret"] = SECRET
    done = program.call(capsys, "token", *args)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert SECRET not in done.err
    assert done.err.count("\n") == 1


def test_a_token_without_a_key_is_wrong_usage(program: Program) -> None:
    """The error says what to set."""
    done = program.run("token", "--channels", "*")
    assert (done.code, done.out) == (2, "")
    assert "PERCOLATOR_AUTH_SECRET" in done.err


def verdicts(program: Program, *args: str) -> dict[str, str]:
    """Run the doctor and return its verdicts by name. The exit code must agree with them."""
    done = program.run("doctor", "--json", *args)
    found = {finding["name"]: finding["verdict"] for finding in done.json}
    assert done.code == ("bad" in found.values())
    return found


@pytest.mark.usefixtures("serving")
def test_the_doctor_finds_no_problem_if_there_is_none(percolator: Program) -> None:
    """It warns until there is an event."""
    assert verdicts(percolator)["events"] == "warning"
    percolator.run("publish", "price", "SOL", "1.5")
    assert set(verdicts(percolator).values()) == {"ok"}
    assert percolator.run("doctor").out.endswith("\nNo problems found.\n")


@pytest.mark.usefixtures("serving")
def test_the_doctor_names_channels_without_events(percolator: Program) -> None:
    """For example of a market in the wrong case; that is a warning."""
    percolator.run("publish", "price", "SOL", "1.5")
    done = percolator.run("doctor", "price:SOL", "price:sol", "price:*", "trades:SOL", "--json")
    found = [each["text"] for each in done.json if each["name"] == "channel"]
    assert found == ["price:sol has no event yet", "trades:SOL has no event yet"]
    assert done.code == 0


def test_the_doctor_names_channels_that_are_refused(percolator: Program) -> None:
    """More than there may be, and more than a reply lists one by one."""
    with percolator.gateway("--max-channels-per-client", "1") as gateway:
        names = [f"price:M{number}" for number in range(3)]
        done = percolator.run("doctor", *names, "--json", "--url", gateway.ws)
        found = [each["text"] for each in done.json if each["name"] == "channel"]
        assert [text for text in found if text.startswith("refused: price:M")] == [
            f"refused: {name}: the client's channel limit is reached" for name in names[1:]
        ]
        assert done.code == 1


def test_the_doctor_finds_a_channel_whose_name_is_not_valid(program: Program) -> None:
    done = program.run("doctor", "price")
    assert (done.code, done.out) == (2, "")
    assert "'price' is not a valid channel" in done.err


def test_the_doctor_finds_a_stale_feed(tmp_path: Path, nats_process: NatsServer) -> None:
    """NATS stands still; the doctor says since when, and what to do."""
    program = Program(tmp_path, nats_url=nats_process.url)
    with program.gateway() as gateway, connect(f"{gateway.ws}/ws") as watching:
        watching.recv()
        nats_process.freeze()
        while '"stale"' not in watching.recv():
            pass
        done = program.run("doctor", "--json", "--url", gateway.ws)
        nats_process.thaw()
    (feed,) = (each for each in done.json if each["name"] == "feed")
    assert feed["verdict"] == "bad"
    assert re.match(r"stale since \d\d:\d\d:\d\d\.\d{3}: the gateway does not hear", feed["text"])
    assert feed["advice"].startswith("check that NATS runs")
    assert done.code == 1


def test_the_doctor_finds_that_nothing_is_running(program: Program) -> None:
    """Each problem comes with advice."""
    done = program.run("doctor", "--nats-url", "nats://127.0.0.1:1", "--url", "127.0.0.1:1")
    assert (done.code, done.err) == (1, "")
    assert "✗ NATS" in done.out
    assert "✗ gateway" in done.out
    assert "percolator serve" in done.out
    assert done.out.endswith("\n2 problems.\n")


def test_the_doctor_finds_a_gateway_that_reads_from_another_nats(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """Before that, it finds that the stream is missing on the other NATS."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    assert verdicts(other, "--url", serving.ws)["stream"] == "bad"
    with other.gateway():
        lines = [
            json.dumps({"type": "trade", "slab": "SOL", "side": "long", "size": "1", "price": 1})
        ] * 1_001
        other.run("publish", "file", "-", stdin="\n".join(lines))
        found = verdicts(other, "--url", serving.ws)
    assert (found["NATS"], found["gateway"], found["same stream"]) == ("ok", "ok", "bad")


def test_the_doctor_finds_a_server_that_is_not_a_gateway(
    percolator: Program, nats_url: str
) -> None:
    """Here it is a NATS server."""
    assert verdicts(percolator, "--url", nats_url.removeprefix("nats://"))["gateway"] == "bad"
