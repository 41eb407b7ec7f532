"""`percolator publish file` and `publish demo` as processes, to a real JetStream."""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import nats
import pytest

from percolator.app.recording import markets
from tests.cli.program import PROGRAM, Program, Running, Serving, get
from tests.cli.terminal import terminal

pytestmark = pytest.mark.usefixtures("serving")

GOOD = [
    {"type": "price", "slab": "SOL", "price": 1.5, "markPrice": 1.51, "timestamp": 1},
    {"type": "trade", "slab": "SOL", "side": "long", "size": "5", "price": 1.5, "timestamp": 2},
    {"type": "funding", "slab": "BTC", "rate": "-0.0001", "timestamp": 3},
    {"event": "price.updated", "slabAddress": "ETH", "data": {"priceE6": 1_500_000}}
    | {"timestamp": 4},
]


def trade(number: int) -> str:
    """Give a line."""
    fields = {"type": "trade", "slab": "SOL", "side": "long", "size": str(number), "price": 1.5}
    return json.dumps(fields | {"timestamp": number})


def stored(nats_url: str, stream: str) -> list[tuple[str, dict[str, Any]]]:
    """Give all that a stream holds, in order."""

    async def read() -> list[tuple[str, dict[str, Any]]]:
        client = await nats.connect(nats_url)
        try:
            context = client.jetstream()
            count = (await context.stream_info(stream)).state.last_seq
            found = [await context.get_msg(stream, seq) for seq in range(1, count + 1)]
        finally:
            await client.close()
        return [(str(each.subject), json.loads(each.data or b"")) for each in found]

    return asyncio.run(read())


def write(folder: Path, *lines: str) -> str:
    """Write a file."""
    path = folder / "events.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_each_line_is_published_in_order(
    percolator: Program, tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """Native form and envelope; blank lines are nothing."""
    path = write(
        tmp_path, *(json.dumps(event) for event in GOOD[:2]), "", *map(json.dumps, GOOD[2:])
    )
    done = percolator.run("publish", "file", path)
    assert (done.code, done.out, done.err) == (0, "published 4 events\n", "")
    found = stored(nats_url, stream_name)
    assert [event for _, event in found] == GOOD
    assert [subject for subject, _ in found] == [
        *("percolator.price.SOL", "percolator.trade.SOL"),
        *("percolator.funding.BTC", "percolator.price.ETH"),
    ]


def test_a_missing_timestamp_is_now(
    percolator: Program, tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """As with the other commands."""
    before = time.time_ns() // 1_000_000
    percolator.run("publish", "file", write(tmp_path, '{"type":"price","slab":"SOL","price":2}'))
    ((_, event),) = stored(nats_url, stream_name)
    assert before <= event["timestamp"] <= time.time_ns() // 1_000_000


def test_bad_lines_are_named_and_skipped(percolator: Program, tmp_path: Path) -> None:
    """By their numbers, each with what is wrong, and exit code 1; the others are published."""
    lines = [
        trade(1),
        "{",
        "[]",
        '{"type":"trade","slab":"SOL","side":"buy","size":"1","price":1,"timestamp":1}',
        '{"type":"price","slab":"SOL","price":-1,"timestamp":1}',
        '{"type":"price","price":1,"timestamp":1}',
        '{"type":"quote","slab":"SOL"}',
        '{"type":"price","slab":"SOL","timestamp":1}',
        trade(2),
    ]
    done = percolator.run("publish", "file", write(tmp_path, *lines))
    assert (done.code, done.out) == (1, "published 2 events, 7 bad lines skipped\n")
    assert done.err.splitlines() == [
        "percolator: line 2: it is not JSON",
        "percolator: line 3: it is not a JSON object",
        "percolator: line 4: side must be long or short, not buy",
        "percolator: line 5: price must be a number of USD greater than 0, not -1",
        "percolator: line 6: slab must be a market's name (letters, digits, _ and -, up to 64)",
        "percolator: line 7: type must be one of price, trade, funding, liquidation",
        "percolator: line 8: price is missing: it must be a number of USD greater than 0",
    ]


def test_standard_input_works_too_and_json_is_for_scripts(percolator: Program) -> None:
    """With a last line that does not end."""
    done = percolator.run("publish", "file", "-", "--json", stdin=f"{trade(1)}\nx\n{trade(2)}")
    assert done.code == 1
    bad = [{"line": 2, "error": "it is not JSON"}]
    assert done.json == {"published": 2, "alreadyThere": 0, "bad": bad}


def test_a_slow_pipe_is_published_as_it_comes(percolator: Program, serving: Serving) -> None:
    """A line goes out before the next is there; Ctrl-C ends the wait."""
    with subprocess.Popen(
        [PROGRAM, "publish", "file", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=percolator.environment(),
    ) as process:
        assert process.stdin is not None
        for number in (1, 2):
            process.stdin.write(f"{trade(number)}\n".encode())
            process.stdin.flush()
            while get(f"{serving.http}/ws/stats")["nats"]["streamSeq"] < number:
                pass
        running = Running(process)
        running.signal(signal.SIGINT)
        process.stdin.close()
        process.stdin = None
        done = running.end()
    assert done.code == 130
    assert done.err.startswith("percolator: stopped: published 2 events;")


def test_whoever_goes_on_publishes_what_is_missing(percolator: Program, tmp_path: Path) -> None:
    """Nothing twice, unless that is what is asked for."""
    lines = [trade(number) for number in range(20)]
    percolator.run("publish", "file", write(tmp_path, *lines[:8]))
    path = write(tmp_path, *lines)
    done = percolator.run("publish", "file", path)
    assert done.out == "published 12 events, 8 were there already\n"
    assert percolator.run("publish", "file", path, "--anew").out == "published 20 events\n"


def test_equal_lines_are_events_of_their_own(percolator: Program, tmp_path: Path) -> None:
    """A message id is that of a line, not of what stands in it."""
    done = percolator.run("publish", "file", write(tmp_path, *[trade(1)] * 3))
    assert done.out == "published 3 events\n"


def test_a_file_that_was_interrupted_can_be_gone_on_with(
    percolator: Program, tmp_path: Path
) -> None:
    """It says how far it has come, and in the end every line stands there once."""
    path = write(tmp_path, *(trade(number) for number in range(200)))
    with terminal(percolator, "publish", "file", path, "--rate", "50") as screen:
        screen.wait_for(rb"\d\d events")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
        assert b"stopped: published" in screen.shown
    done = percolator.run("publish", "file", path, "--json").json
    assert done["alreadyThere"] >= 10
    assert done["published"] + done["alreadyThere"] == 200


def test_a_rate_is_kept(percolator: Program, tmp_path: Path) -> None:
    """At the most so many a second."""
    path = write(tmp_path, *(trade(number) for number in range(11)))
    start = time.monotonic()
    assert percolator.run("publish", "file", path, "--rate", "20").code == 0
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize("path", ["nothing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_one_sentence(percolator: Program, path: str) -> None:
    """Its name, and why."""
    done = percolator.run("publish", "file", path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: {path} cannot be read: ")
    assert done.err.count("\n") == 1


def test_what_cannot_be_waited_for_is_read(percolator: Program) -> None:
    """A job that runs without anybody has it as standard input."""
    done = percolator.run("publish", "file", "/dev/null")
    assert (done.code, done.out, done.err) == (0, "published 0 events\n", "")


def test_a_reader_of_the_complaints_who_leaves_stops_nothing(percolator: Program) -> None:
    """All that is good is published, and the exit code says that not all was."""
    write(percolator.folder, *["no event"] * 3_000, trade(1))
    done = percolator.shell('{ "$0" publish file events.jsonl 2>&1 >&3 | true; } 3>&1')
    assert done.out == "published 1 events, 3,000 bad lines skipped\n"


def test_a_line_without_an_end_is_one_sentence(percolator: Program) -> None:
    """It is no JSON lines at all, and would fill the memory."""
    done = percolator.run("publish", "file", "-", stdin="x" * 3_000_000)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: line 1 of standard input is longer than 1,000,000")
    assert done.err.count("\n") == 1


def test_without_a_stream_it_is_one_sentence(tmp_path: Path, nats_url: str) -> None:
    """Though many events were on their way."""
    elsewhere = Program(tmp_path, nats_url=nats_url, stream="NOWHERE")
    path = write(tmp_path, *(trade(number) for number in range(50)))
    done = elsewhere.run("publish", "file", path)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1


def test_the_demo_is_played_once_as_fast_as_it_goes(percolator: Program, serving: Serving) -> None:
    """Shifted copies are markets of their own."""
    done = percolator.run("publish", "demo", "--speed", "0", "--slabs", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"published {len(markets(1)):,} events\n"
    assert "BTC" in get(f"{serving.http}/markets")["markets"]


def test_the_demo_goes_round_until_it_is_stopped(percolator: Program) -> None:
    """With a line that shows how it goes."""
    args = ("publish", "demo", "--speed", "50", "--loop", "--slabs", "4")
    with terminal(percolator, *args) as screen:
        screen.wait_for(b"events,")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
        assert b"stopped: published" in screen.shown
        assert b"Traceback" not in screen.shown
