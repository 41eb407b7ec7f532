"""`percolator serve` as a process: what it prints and logs, and how it ends."""

import contextlib
import json
import signal
import socket
import time
import urllib.error
from pathlib import Path

import pytest
from websockets.sync.client import connect

from percolator.auth.tokens import mint
from percolator.logs import LINE_BURST
from tests.cli.program import Program, Serving, get
from tests.nats_server import NatsServer

SECRET = "a secret of thirty-two bytes or more"


def test_one_line_says_that_the_gateway_is_ready_and_where(
    percolator: Program, nats_url: str
) -> None:
    """The addresses in it answer."""
    with percolator.gateway() as gateway:
        assert gateway.nats == nats_url
        assert gateway.data_dir is None
        assert get(f"{gateway.http}/health")["status"] == "ok"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_stops_the_gateway_gracefully(
    serving: Serving, number: signal.Signals, code: int
) -> None:
    """It prints nothing more, and logs no warning."""
    serving.running.signal(number)
    done = serving.running.end()
    assert (done.code, done.out) == (code, "")
    assert all(" info " in line for line in done.err.splitlines())


def test_a_second_signal_stops_the_gateway_at_once(percolator: Program) -> None:
    """Even while it waits for a client that does not answer its close frame."""
    with percolator.start("serve", "--port", "0", "--drain-seconds", "3600") as running:
        gateway = Serving.when_ready(running)
        port = int(gateway.ws.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            while b'"connected"' not in client.recv(4_096):
                pass
            running.signal(signal.SIGTERM)
            while b"shutting down" not in client.recv(4_096):
                pass
            running.signal(signal.SIGTERM)
            assert running.end().code == 0


def test_a_port_in_use_is_reported_in_one_sentence(percolator: Program) -> None:
    """The sentence says what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = percolator.run("serve", "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: the gateway cannot listen on 127.0.0.1:{port}")
    assert "--port" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("host", ["::", "0.0.0.0", "::0", "localhost"])  # noqa: S104 - what is tested
def test_the_ready_line_and_the_commands_name_an_address_at_which_the_gateway_answers(
    percolator: Program, host: str
) -> None:
    """An address that stands for all of the machine's is none that a client can connect to."""
    with percolator.gateway("--host", host) as gateway:
        shown, _, port = gateway.ws.removeprefix("ws://").rpartition(":")
        assert shown == "127.0.0.1" or (host, shown) == ("localhost", "[::1]")
        assert get(f"{gateway.http}/health/live") == {"status": "ok"}
        env = {"PERCOLATOR_HOST": host, "PERCOLATOR_PORT": port}
        urls = [f"ws://127.0.0.1:{port}", *([f"ws://[::1]:{port}"] if "::" in host else [])]
        for where in ([], *(["--url", url] for url in urls)):
            assert percolator.run("stats", *where, env=env).code == 0


def test_no_host_is_refused(percolator: Program) -> None:
    """All addresses are 0.0.0.0 or, with IPv6, ::."""
    done = percolator.run("serve", "--host", "")
    assert done.code == 2
    assert done.err == (
        "percolator: setting host (from --host): it must be an IP address or a hostname, not ''\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "fe80::1%nowhere"])
def test_a_foreign_address_is_reported_in_one_sentence(percolator: Program, host: str) -> None:
    """It suggests another host: another port would not help."""
    done = percolator.run("serve", "--host", host, "--port", "0")
    assert (done.code, done.out) == (1, "")
    at = f"[{host}]" if ":" in host else host
    assert done.err.startswith(f"percolator: the gateway cannot listen on {at}:0 (")
    assert "Unknown error" not in done.err
    assert done.err.endswith("): choose another with --host\n")


def test_the_gateway_waits_for_a_configured_nats_that_does_not_answer(program: Program) -> None:
    """It logs what is missing, and can be stopped."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"nats://127.0.0.1:{free.getsockname()[1]}"
    with program.start("serve", "--port", "0", "--nats-url", url) as running:
        assert f"NATS at {url} cannot be reached" in running.complaint("cannot be reached")
        running.signal(signal.SIGTERM)
        assert running.end().code == 0


def test_a_nats_without_jetstream_is_reported_in_one_sentence(
    program: Program, tmp_path: Path
) -> None:
    """The sentence says what is missing and how to enable it."""
    config = tmp_path / "no-jetstream.conf"
    config.write_text("accounts { A { users = [ { user: a, password: b } ] } }\nno_auth_user: a\n")
    with NatsServer(tmp_path / "nats", "--config", str(config)) as server:
        done = program.run("serve", "--port", "0", "--nats-url", server.url)
    assert (done.code, done.out) == (1, "")
    assert "JetStream" in done.err
    assert done.err.count("\n") == 1


def test_a_stream_that_the_operator_must_create_is_reported_in_one_sentence(
    program: Program, tmp_path: Path
) -> None:
    """Nothing is created."""
    with NatsServer(tmp_path / "nats") as server:
        done = program.run("serve", "--nats-url", server.url, "--no-create-stream")
    assert (done.code, done.out) == (1, "")
    assert "the stream PERCOLATOR does not exist, and create_stream is false" in done.err
    assert "nats stream add PERCOLATOR --config nats/stream.json" in done.err
    assert done.err.count("\n") == 1


def test_log_lines_are_json_if_the_format_is_json(percolator: Program) -> None:
    """One object per line, on standard error."""
    with percolator.gateway("--log-format", "json") as gateway:
        gateway.running.signal(signal.SIGTERM)
        lines = gateway.running.end().err.splitlines()
    assert lines
    for line in map(json.loads, lines):
        assert line.keys() >= {"time", "level", "logger", "message"}


def test_the_demo_plays_a_market(percolator: Program) -> None:
    """Events flow as soon as the gateway is ready."""
    with percolator.gateway("--demo") as gateway:
        markets: dict[str, object] = {}
        while not {"BTC", "ETH"} <= markets.keys():
            markets = get(f"{gateway.http}/markets")["markets"]


def test_every_setting_is_a_flag_with_its_meaning_and_default(program: Program) -> None:
    """The flags are made from the settings; this is their help."""
    text = " ".join(program.run("serve", "--help", env={"COLUMNS": "200"}).out.split())
    assert "--port PORT Port to listen on; 0 picks a free one (default: 3001)." in text
    assert "--auth / --no-auth Require a signed token (default: off)." in text
    assert "--price-interval SECONDS" in text


def test_sigusr1_logs_a_complete_summary(percolator: Program) -> None:
    """Every group has its line, however many lines that makes."""
    markets = [f"M{number}" for number in range(LINE_BURST + 5)]
    with (
        percolator.gateway("--max-connections-per-ip", "0") as gateway,
        contextlib.ExitStack() as clients,
    ):
        for market in markets:
            client = clients.enter_context(connect(f"{gateway.ws}/ws"))
            client.send(json.dumps({"type": "subscribe", "channels": [f"trades:{market}"]}))
        lines = summary_of(gateway)
        while f"groups: {len(markets)}" not in lines:  # the last may not have joined its group yet
            lines = summary_of(gateway)
        assert {f"group of 1: trades:{market}" for market in markets} <= set(lines)
        assert lines[0] == f"connections: {len(markets)} open"
        assert lines[1] == "clients: 0 paused, 0 not in a group, 0 replays running"
        assert lines[-1] == "feed: connected, seq 0, lag 0, 0 restarts, trouble: none"


def summary_of(gateway: Serving) -> list[str]:
    """Ask for a summary, and return its lines."""
    gateway.running.signal(signal.SIGUSR1)
    lines: list[str] = []
    while not lines or not lines[-1].startswith("feed: "):
        line = gateway.running.complaint("summary: ")
        assert " info " in line
        lines.append(line.partition("summary: ")[2].rstrip())
    return lines


@pytest.mark.parametrize("level", ["info", "debug"])
def test_the_debug_level_shows_every_phase_of_a_connection_and_no_token(
    percolator: Program, level: str
) -> None:
    """At the info level, connections leave no line."""
    percolator.settings.update(auth="true", auth_secret=SECRET)
    token = mint(SECRET, ["*"], now=time.time(), seconds=60, subject="hunter2")
    with percolator.gateway("--log-level", level) as gateway:
        with connect(f"{gateway.ws}/ws?token={token}") as client:
            secrets = [
                json.dumps({"type": "auth", "token": token}),
                '{"type": "auth", "token": "hunter2"}',
                '{"type": "auth", "t\\u006fken": "hunter2"}',
            ]
            for message in (*secrets, '{"type": "ping", "id": 17}'):
                client.send(message)
            while '"pong"' not in client.recv():
                pass
            client.close(4000, "bye")
        with pytest.raises(urllib.error.HTTPError):
            get(f"{gateway.http}/markets?token=hunter2")
        gateway.running.signal(signal.SIGTERM)
        done = gateway.running.end()
    assert "hunter2" not in done.err
    assert not any(part in done.err for part in token.split("."))
    debug = [line.partition(" debug ")[2].strip() for line in done.err.splitlines()]
    if level == "info":
        assert not any(debug)
        return
    first, second = ([line for line in debug if f"conn {number}: " in line] for number in (1, 2))
    assert [line.removeprefix("conn 1: ") for line in first] == [
        "accepted from 127.0.0.1",
        "request GET /ws",
        "upgraded",
        *[f"received {len(message):,} bytes that may hold a token" for message in secrets],
        'received \'{"type": "ping", "id": 17}\'',
        "closing with 4000 (private use) bye",
        "gone, close code 4000 (closed)",
    ]
    assert [line.removeprefix("conn 2: ") for line in second] == [
        "accepted from 127.0.0.1",
        "request GET /markets",
        "answered 401",
        "gone, close code 1006 (closed)",
    ]
