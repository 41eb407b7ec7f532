"""`percolator stats` as a process: once, live, in a pipe, and over a gateway's restart."""

import json
import signal
import socket

import pytest

from tests.cli.program import PATIENCE, Program, Running, Serving
from tests.cli.terminal import ALTERNATE_ON, terminal


def free_address() -> str:
    """Give an address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_any_form_of_the_address_finds_the_stats(
    program: Program, capsys: pytest.CaptureFixture[str], serving: Serving
) -> None:
    """Any scheme or none, with or without a path."""
    bare = serving.http.removeprefix("http://")
    for url in (serving.ws, f"{serving.http}/ws/stats", bare, f"{bare}/", f"{serving.ws}/ws"):
        done = program.call(capsys, "stats", "--json", "--url", url)
        assert (done.code, done.err) == (0, "")
        assert done.json["totalConnections"] == 0


@pytest.mark.usefixtures("serving")
def test_a_pipe_gets_plain_text(percolator: Program) -> None:
    """No colours, no bars."""
    percolator.run("publish", "price", "SOL", "1.5")
    done = percolator.run("stats")
    assert done.code == 0
    assert "0  of 1,000" in done.out
    assert "\x1b" not in done.out


def test_no_gateway_is_one_sentence(program: Program) -> None:
    """Where it looked, and how to start one."""
    address = free_address()
    done = program.run("stats", "--url", address)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: no gateway answers at http://{address}:")
    assert "percolator serve" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://x:port", "ws://[::1", "a..b", "http://a b:1"]
)
def test_an_address_that_is_none_is_wrong_usage(
    program: Program, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """With an example of one."""
    done = program.call(capsys, "stats", "--url", url)
    assert (done.code, done.out) == (2, "")
    assert "ws://127.0.0.1:3001" in done.err


def test_something_else_that_answers_is_one_sentence(program: Program, nats_url: str) -> None:
    """Here a NATS server, which speaks first."""
    done = program.run("stats", "--url", nats_url.removeprefix("nats://"))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: no gateway answers at")


@pytest.mark.usefixtures("serving")
def test_the_stats_token_is_a_setting(percolator: Program) -> None:
    """One that is not asked for does no harm."""
    assert percolator.run("stats", "--json", env={"PERCOLATOR_STATS_TOKEN": "t"}).code == 0


def next_look(running: Running) -> dict[str, object]:
    """Read one JSON line."""
    found: dict[str, object] = json.loads(running.line())
    return found


def test_watching_survives_a_restart_of_the_gateway(percolator: Program) -> None:
    """Looks go on where they stopped; in between is one complaint."""
    with percolator.gateway() as gateway:
        port = gateway.ws.rpartition(":")[2]
        args = ("stats", "--watch", "--json", "--interval", "0.1", "--url", gateway.ws)
        with percolator.start(*args) as watching:
            next_look(watching)
            gateway.running.signal(signal.SIGKILL)
            gateway.running.end()
            assert "no gateway answers" in watching.complaint("no gateway")
            with percolator.gateway("--port", port):
                while float(str(next_look(watching)["uptimeSeconds"])) > 60:
                    pass
            watching.signal(signal.SIGINT)
            assert watching.end().code == 130


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_live_screen_leaves_the_terminal_as_it_was(
    percolator: Program, number: signal.Signals, code: int
) -> None:
    """It is drawn on a screen of its own, which is gone afterwards."""
    with terminal(percolator, "stats", "--watch", "--interval", "0.1") as screen:
        screen.wait_for(b"NATS")
        screen.wait_for(b"NATS", after=len(screen.shown))
        assert ALTERNATE_ON in screen.shown
        screen.signal(number)
        assert screen.end() == code
        assert screen.is_restored()


def test_the_live_screen_shows_a_gateway_that_is_gone(percolator: Program) -> None:
    """And one that is not there yet."""
    address = free_address()
    with terminal(percolator, "stats", "--watch", "--url", address) as screen:
        screen.wait_for(b"no gateway answers")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()


@pytest.mark.usefixtures("serving")
def test_a_reader_that_has_seen_enough_is_no_error(percolator: Program) -> None:
    """As with `| head -1`."""
    with percolator.start("stats", "--watch", "--json", "--interval", "0.1") as running:
        running.line()
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert running.process.wait(PATIENCE) == 0
