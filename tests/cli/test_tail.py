"""`percolator tail` as a process: its output, its start and end, and how it resumes."""

import json
import signal

import pytest

from tests.cli.program import Program, Running, Serving, get
from tests.cli.terminal import terminal


def publish(percolator: Program, *sizes: int, kind: str = "trade") -> None:
    """Publish trades, or liquidations, which have the same fields."""
    trade = {"type": kind, "slab": "SOL", "side": "long", "price": 1.5}
    lines = "\n".join(json.dumps(trade | {"size": str(size)}) for size in sizes)
    assert percolator.run("publish", "file", "-", "--no-dedupe", stdin=lines).code == 0


def sizes(running: Running, count: int) -> list[int]:
    """Read trades and return their sizes."""
    return [int(json.loads(running.line())["size"]) for _ in range(count)]


def test_tail_starts_after_a_seq_and_stops_after_a_count(
    percolator: Program, serving: Serving
) -> None:
    """It prints nothing else, if it has the epoch too."""
    publish(percolator, 1, 2, 3, 4)
    since = ("--since", "1", "--epoch", get(f"{serving.http}/markets")["epoch"])
    done = percolator.run("tail", "trades:SOL", *since, "--count", "2", "--json")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [(event["seq"], event["prev"], event["size"]) for event in events] == [
        (2, 1, "2"),
        (3, 2, "3"),
    ]


@pytest.mark.usefixtures("serving")
def test_tail_warns_of_a_seq_without_an_epoch(percolator: Program) -> None:
    """A seq belongs to one stream; 0 is the same in all of them."""
    publish(percolator, 1, 2)
    done = percolator.run("tail", "trades:SOL", "--since", "1", "--count", "1")
    assert (done.code, done.out.count("\n"), done.err.count("\n")) == (0, 1, 1)
    assert "--since without --epoch" in done.err
    assert percolator.run("tail", "trades:SOL", "--since", "0", "--count", "1").err == ""


def test_tail_says_that_a_stream_was_replaced(percolator: Program, serving: Serving) -> None:
    """With the epoch of the old one, its seq is no place in the new one."""
    publish(percolator, 1)
    since = ("--since", "70", "--epoch", "another")
    done = percolator.run("tail", "trades:SOL", *since, "--count", "1", "--json")
    gap, trade = map(json.loads, done.out.splitlines())
    assert (gap["type"], gap["from"]) == ("gap", 70)
    assert gap["epoch"] == get(f"{serving.http}/markets")["epoch"]
    assert trade["seq"] == 1


@pytest.mark.usefixtures("serving")
def test_tail_starts_with_recent_events_on_request(percolator: Program) -> None:
    """In a pipe it prints plain text."""
    publish(percolator, 1, 2, 3)
    done = percolator.run("tail", "trades:SOL", "--recent", "2", "--count", "2")
    assert [line.split()[1:] for line in done.out.splitlines()] == [
        ["trades:SOL", "2", "long", "2", "at", "1.5"],
        ["trades:SOL", "3", "long", "3", "at", "1.5"],
    ]


@pytest.mark.parametrize("kind", ["trade", "liquidation"])
def test_tail_resumes_without_loss_when_the_gateway_is_back(percolator: Program, kind: str) -> None:
    """Events published meanwhile are printed once, and so is the error."""
    with percolator.gateway() as gateway:
        publish(percolator, 1, kind=kind)
        port = gateway.ws.rpartition(":")[2]
        args = ("tail", f"{kind}s:SOL", "--since", "0", "--json", "--url", gateway.ws)
        with percolator.start(*args) as tailing:
            assert sizes(tailing, 1) == [1]
            publish(percolator, 2, kind=kind)
            assert sizes(tailing, 1) == [2]
            gateway.running.signal(signal.SIGKILL)
            gateway.running.end()
            assert "retrying" in tailing.complaint("not connected to")
            publish(percolator, 3, 4, kind=kind)
            with percolator.gateway("--port", port):
                assert sizes(tailing, 2) == [3, 4]
                publish(percolator, 5, kind=kind)
                assert sizes(tailing, 1) == [5]
            tailing.signal(signal.SIGINT)
            assert tailing.end().code == 130


@pytest.mark.usefixtures("serving")
def test_ctrl_c_stops_tail_and_restores_the_terminal(percolator: Program) -> None:
    """It is waiting for events."""
    publish(percolator, 7)
    with terminal(percolator, "tail", "trades:SOL", "--recent", "1") as screen:
        screen.wait_for(b" 7 at ")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
        assert b"Traceback" not in screen.shown


def test_an_invalid_channel_is_wrong_usage(program: Program) -> None:
    """The error shows valid channels."""
    done = program.run("tail", "trades:SOL", "trade:SOL")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("percolator: 'trade:SOL' is not a valid channel: ")
    assert "trades:SOL" in done.err


def test_a_request_that_the_gateway_rejects_is_reported_in_one_sentence(
    percolator: Program,
) -> None:
    """Here it has one channel too many."""
    with percolator.gateway("--max-channels-per-client", "1") as gateway:
        done = percolator.run("tail", "trades:SOL", "price:BTC", "--url", gateway.ws)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: the gateway rejected the request: ")
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("serving")
def test_tail_follows_all_markets_by_a_wildcard(percolator: Program) -> None:
    """Each event names its own market."""
    for slab in ("SOL", "BTC"):
        percolator.run("publish", "trade", slab, "long", "5", "1.5")
    done = percolator.run("tail", "trades:*", "--recent", "1", "--count", "2", "--json")
    assert (done.code, done.err) == (0, "")
    assert {json.loads(line)["slab"] for line in done.out.splitlines()} == {"SOL", "BTC"}
    assert percolator.run("tail", "trade:*").code == 2


@pytest.mark.usefixtures("serving")
def test_tail_succeeds_if_the_reader_closes_the_pipe(percolator: Program, serving: Serving) -> None:
    """`| head -1` does this."""
    publish(percolator, *range(20))
    with percolator.start("tail", "trades:SOL", "--since", "0", "--url", serving.ws) as running:
        running.line()
        assert running.process.stdout is not None
        running.process.stdout.close()
        publish(percolator, 1)
        publish(percolator, 2)
        assert running.process.wait(30) == 0
