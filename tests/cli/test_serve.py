"""`percolator serve` as a process: its output, and each way to stop it."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.program import Program, Serving, get
from tests.nats_server import NatsServer


def test_serve_prints_one_line_with_its_addresses_when_it_is_ready(
    percolator: Program, nats_url: str
) -> None:
    """The gateway answers at these addresses."""
    with percolator.gateway() as gateway:
        assert gateway.nats == nats_url
        assert gateway.data_dir is None
        assert get(f"{gateway.http}/health")["status"] == "ok"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_stops_serve_cleanly(serving: Serving, number: signal.Signals, code: int) -> None:
    """Nothing more is printed, and no warning is logged."""
    serving.running.signal(number)
    done = serving.running.end()
    assert (done.code, done.out) == (code, "")
    assert all(" info " in line for line in done.err.splitlines())


def test_a_second_signal_stops_serve_at_once(percolator: Program) -> None:
    """It does not wait for a client that has not answered its close frame."""
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
    """The error says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = percolator.run("serve", "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: the gateway cannot listen on 127.0.0.1:{port}")
    assert "--port" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "fe80::1%nowhere"])
def test_a_foreign_host_address_is_reported_in_one_sentence(percolator: Program, host: str) -> None:
    """The error suggests another host, as another port would not help."""
    done = percolator.run("serve", "--host", host, "--port", "0")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: the gateway cannot listen on {host}:0 (")
    assert "Unknown error" not in done.err
    assert done.err.endswith("): choose another with --host\n")


def test_serve_waits_for_a_configured_nats_that_does_not_answer(program: Program) -> None:
    """Meanwhile the log says what is missing, and the gateway can be stopped."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"nats://127.0.0.1:{free.getsockname()[1]}"
    with program.start("serve", "--port", "0", "--nats-url", url) as running:
        assert f"NATS at {url} cannot be reached" in running.complaint("cannot be reached")
        running.signal(signal.SIGTERM)
        assert running.end().code == 0


def test_a_nats_without_jetstream_is_reported_in_one_sentence(
    program: Program, tmp_path: Path
) -> None:
    """The error names JetStream."""
    config = tmp_path / "no-jetstream.conf"
    config.write_text("accounts { A { users = [ { user: a, password: b } ] } }\nno_auth_user: a\n")
    with NatsServer(tmp_path / "nats", "--config", str(config)) as server:
        done = program.run("serve", "--port", "0", "--nats-url", server.url)
    assert (done.code, done.out) == (1, "")
    assert "JetStream" in done.err
    assert done.err.count("\n") == 1


def test_serve_logs_json_if_log_format_is_json(percolator: Program) -> None:
    """Standard error has one object per line."""
    with percolator.gateway("--log-format", "json") as gateway:
        gateway.running.signal(signal.SIGTERM)
        lines = gateway.running.end().err.splitlines()
    assert lines
    for line in map(json.loads, lines):
        assert line.keys() >= {"time", "level", "logger", "message"}


def test_serve_plays_a_market_with_the_demo_flag(percolator: Program) -> None:
    """Events arrive soon after the gateway is ready."""
    with percolator.gateway("--demo") as gateway:
        markets: dict[str, object] = {}
        while not {"BTC", "ETH"} <= markets.keys():
            markets = get(f"{gateway.http}/markets")["markets"]


def test_every_setting_is_a_flag_with_its_meaning_and_default(program: Program) -> None:
    """The flags are derived from the settings; this is what users see."""
    text = " ".join(program.run("serve", "--help", env={"COLUMNS": "200"}).out.split())
    assert "--port PORT Port to listen on; 0 picks a free one (default: 3001)." in text
    assert "--auth / --no-auth Require a signed token (default: off)." in text
    assert "--price-interval SECONDS" in text
