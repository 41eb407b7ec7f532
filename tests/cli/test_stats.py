"""`percolator stats` as a process: once, live, in a pipe, and across a restart of the gateway."""

import json
import signal

import pytest

from tests.cli.program import PATIENCE, Program, Running, Serving, free_address
from tests.cli.terminal import ALTERNATE_ON, terminal


def test_stats_accepts_the_gateways_address_in_any_form(
    program: Program, capsys: pytest.CaptureFixture[str], serving: Serving
) -> None:
    """The scheme and the path are optional."""
    bare = serving.http.removeprefix("http://")
    for url in (serving.ws, f"{serving.http}/ws/stats", bare, f"{bare}/", f"{serving.ws}/ws"):
        done = program.call(capsys, "stats", "--json", "--url", url)
        assert (done.code, done.err) == (0, "")
        assert done.json["totalConnections"] == 0


@pytest.mark.usefixtures("serving")
def test_stats_prints_plain_text_in_a_pipe(percolator: Program) -> None:
    """It has no colours and no bars."""
    percolator.run("publish", "price", "SOL", "1.5")
    done = percolator.run("stats")
    assert done.code == 0
    assert "0  of 1,000" in done.out
    assert "\x1b" not in done.out


def test_stats_without_a_gateway_fails_with_one_sentence(program: Program) -> None:
    """The error has the address, and says how to start a gateway."""
    address = free_address()
    done = program.run("stats", "--url", address)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: no gateway answers at http://{address}:")
    assert "percolator serve" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://x:port", "ws://[::1", "a..b", "http://a b:1"]
)
def test_an_invalid_address_is_wrong_usage(
    program: Program, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """The error has an example."""
    done = program.call(capsys, "stats", "--url", url)
    assert (done.code, done.out) == (2, "")
    assert "ws://127.0.0.1:3001" in done.err


def test_a_server_that_is_not_a_gateway_is_reported_in_one_sentence(
    program: Program, nats_url: str
) -> None:
    """Here it is a NATS server, which sends the first message."""
    done = program.run("stats", "--url", nats_url.removeprefix("nats://"))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: no gateway answers at")


@pytest.mark.usefixtures("serving")
def test_stats_sends_the_stats_token_from_the_settings(percolator: Program) -> None:
    """A token that the gateway does not require is ignored."""
    assert percolator.run("stats", "--json", env={"PERCOLATOR_STATS_TOKEN": "t"}).code == 0


def next_look(running: Running) -> dict[str, object]:
    """Read the next line of JSON."""
    found: dict[str, object] = json.loads(running.line())
    return found


def test_stats_watch_survives_a_restart_of_the_gateway(percolator: Program) -> None:
    """Meanwhile it prints one error."""
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
def test_the_live_screen_restores_the_terminal(
    percolator: Program, number: signal.Signals, code: int
) -> None:
    """It uses the terminal's alternate screen."""
    with terminal(percolator, "stats", "--watch", "--interval", "0.1") as screen:
        screen.wait_for(b"NATS")
        screen.wait_for(b"NATS", after=len(screen.shown))
        assert ALTERNATE_ON in screen.shown
        screen.signal(number)
        assert screen.end() == code
        assert screen.is_restored()


def test_the_live_screen_says_if_no_gateway_answers(percolator: Program) -> None:
    """It waits for one until it is interrupted."""
    address = free_address()
    with terminal(percolator, "stats", "--watch", "--url", address) as screen:
        screen.wait_for(b"no gateway answers")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()


@pytest.mark.usefixtures("serving")
def test_stats_succeeds_if_the_reader_closes_the_pipe(percolator: Program) -> None:
    """`| head -1` does this."""
    with percolator.start("stats", "--watch", "--json", "--interval", "0.1") as running:
        running.line()
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert running.process.wait(PATIENCE) == 0
