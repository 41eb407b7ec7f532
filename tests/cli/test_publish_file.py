"""`percolator publish file` and `publish demo` as processes, to a real JetStream."""

import asyncio
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import nats
import pytest

from percolator.app.recording import markets
from tests.channels import STORED_MS
from tests.cli.program import PROGRAM, Program, Running, Serving, get
from tests.cli.terminal import terminal

pytestmark = pytest.mark.usefixtures("serving")

GOOD = [
    {"type": "price", "slab": "SOL", "price": 1.5, "markPrice": 1.51, "timestamp": STORED_MS},
    {"type": "trade", "slab": "SOL", "side": "long", "size": "5", "price": 1.5}
    | {"timestamp": STORED_MS + 1},
    {"type": "funding", "slab": "BTC", "rate": "-0.0001", "timestamp": STORED_MS + 2},
    {"event": "price.updated", "slabAddress": "ETH", "data": {"priceE6": 1_500_000}}
    | {"timestamp": STORED_MS + 3},
]


def trade(number: int) -> str:
    """Return a trade as a line of JSON."""
    fields = {"type": "trade", "slab": "SOL", "side": "long", "size": str(number), "price": 1.5}
    return json.dumps(fields | {"timestamp": STORED_MS + number})


def stored(nats_url: str, stream: str) -> list[tuple[str, dict[str, Any]]]:
    """Return subject and event of everything in a stream, in order."""

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
    """Write a file of lines and return its path."""
    path = folder / "events.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_publish_file_publishes_each_line_in_order(
    percolator: Program, tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """Native form and envelope are both accepted, and blank lines are ignored."""
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


def test_an_event_without_a_timestamp_gets_the_current_time(
    percolator: Program, tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """The other publish commands do the same."""
    before = time.time_ns() // 1_000_000
    percolator.run("publish", "file", write(tmp_path, '{"type":"price","slab":"SOL","price":2}'))
    ((_, event),) = stored(nats_url, stream_name)
    assert before <= event["timestamp"] <= time.time_ns() // 1_000_000


def test_invalid_lines_are_reported_and_skipped(percolator: Program, tmp_path: Path) -> None:
    """Each error has the line's number, the exit code is 1, and the other lines are published."""
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
    assert (done.code, done.out) == (1, "published 2 events, 7 invalid lines skipped\n")
    assert done.err.splitlines() == [
        "percolator: line 2: not valid JSON",
        "percolator: line 3: not a JSON object",
        'percolator: line 4: side must be "long" or "short", got "buy"',
        "percolator: line 5: price must be a number of USD greater than 0, got -1",
        "percolator: line 6: slab must be a market name (letters, digits, _ and -, up to 64)",
        "percolator: line 7: type must be one of price, trade, funding, liquidation, market",
        "percolator: line 8: price is missing: it must be a number of USD greater than 0",
    ]


def test_a_check_reports_what_publishing_would_report_and_publishes_nothing(
    percolator: Program, program: Program, tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """Without NATS; the exit code is 1 if any line is invalid."""
    nowhere = {"PERCOLATOR_NATS_URL": "nats://127.0.0.1:1"}
    path = write(tmp_path, trade(1), "{", '{"type":"price","slab":"SOL","price":0}', trade(2))
    done = program.run("publish", "file", path, "--check", env=nowhere)
    assert (done.code, done.out) == (1, "2 valid events, 2 invalid lines; nothing was published\n")
    assert stored(nats_url, stream_name) == []
    assert done.err == percolator.run("publish", "file", path).err
    found = program.run("publish", "file", path, "--check", "--json", env=nowhere).json
    assert (found["valid"], [bad["line"] for bad in found["bad"]]) == (2, [2, 3])
    good = write(tmp_path, *(json.dumps(event) for event in GOOD))
    done = program.run("publish", "file", good, "--check", env=nowhere)
    assert (done.code, done.err) == (0, "")
    assert done.out == "4 valid events, 0 invalid lines; nothing was published\n"


def test_publish_file_reads_standard_input_and_prints_json(percolator: Program) -> None:
    """The last line need not end with a newline."""
    done = percolator.run("publish", "file", "-", "--json", stdin=f"{trade(1)}\nx\n{trade(2)}")
    assert done.code == 1
    bad = [{"line": 2, "error": "not valid JSON"}]
    assert done.json == {"published": 2, "alreadyThere": 0, "bad": bad}


def test_each_line_of_a_slow_pipe_is_published_at_once(
    percolator: Program, serving: Serving
) -> None:
    """It does not wait for the next line, and Ctrl-C stops it."""
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
    # The gateway may read the last event before the publisher reads its acknowledgement.
    assert re.match("percolator: interrupted: published (1 event|2 events);", done.err)


@pytest.mark.parametrize("flag", ["--no-dedupe", "--anew"])
def test_publishing_a_file_again_publishes_only_what_is_missing(
    percolator: Program, tmp_path: Path, flag: str
) -> None:
    """With --no-dedupe, formerly --anew, everything is published again."""
    lines = [trade(number) for number in range(20)]
    percolator.run("publish", "file", write(tmp_path, *lines[:8]))
    path = write(tmp_path, *lines)
    done = percolator.run("publish", "file", path)
    assert done.out == "published 12 events, 8 already published\n"
    assert percolator.run("publish", "file", path, flag).out == "published 20 events\n"


def test_equal_lines_are_published_as_separate_events(percolator: Program, tmp_path: Path) -> None:
    """The message id includes the line's number."""
    done = percolator.run("publish", "file", write(tmp_path, *[trade(1)] * 3))
    assert done.out == "published 3 events\n"


def test_an_interrupted_file_can_be_resumed(percolator: Program, tmp_path: Path) -> None:
    """It reports how many events it published, and in the end every line is there once."""
    path = write(tmp_path, *(trade(number) for number in range(200)))
    with terminal(percolator, "publish", "file", path, "--rate", "20") as screen:
        screen.wait_for(rb"\d\d events")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
        assert b"interrupted: published" in screen.shown
    done = percolator.run("publish", "file", path, "--json").json
    assert done["alreadyThere"] >= 10
    assert done["published"] + done["alreadyThere"] == 200


def test_publish_file_does_not_exceed_the_rate(percolator: Program, tmp_path: Path) -> None:
    """Eleven events at 20 per second take half a second."""
    path = write(tmp_path, *(trade(number) for number in range(11)))
    start = time.monotonic()
    assert percolator.run("publish", "file", path, "--rate", "20").code == 0
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize("path", ["nothing.jsonl", "."])
def test_an_unreadable_file_is_reported_in_one_sentence(percolator: Program, path: str) -> None:
    """The error has the file's name and the reason."""
    done = percolator.run("publish", "file", path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: {path} cannot be read: ")
    assert done.err.count("\n") == 1


def test_publish_file_reads_a_device_that_the_event_loop_cannot_watch(percolator: Program) -> None:
    """Background jobs have /dev/null as standard input."""
    done = percolator.run("publish", "file", "/dev/null")
    assert (done.code, done.out, done.err) == (0, "published 0 events\n", "")


def test_publish_file_continues_if_standard_error_is_closed(percolator: Program) -> None:
    """Valid lines are published although their errors cannot be printed."""
    write(percolator.folder, *["no event"] * 3_000, trade(1))
    done = percolator.shell('{ "$0" publish file events.jsonl 2>&1 >&3 | true; } 3>&1')
    assert done.out == "published 1 event, 3,000 invalid lines skipped\n"


def test_an_endless_line_is_reported_in_one_sentence(percolator: Program) -> None:
    """Reading it all would fill the memory."""
    done = percolator.run("publish", "file", "-", stdin="x" * 3_000_000)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: line 1 of standard input is longer than 1,000,000")
    assert done.err.count("\n") == 1


def test_a_missing_stream_is_reported_in_one_sentence(tmp_path: Path, nats_url: str) -> None:
    """Many events were in flight, but there is only one error."""
    elsewhere = Program(tmp_path, nats_url=nats_url, stream="NOWHERE")
    path = write(tmp_path, *(trade(number) for number in range(50)))
    done = elsewhere.run("publish", "file", path)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1


def test_publish_demo_publishes_the_recording_once_at_speed_0(
    percolator: Program, serving: Serving
) -> None:
    """The gateway then has the recorded market."""
    done = percolator.run("publish", "demo", "--speed", "0", "--slabs", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"published {len(markets(1)):,} events\n"
    assert "BTC" in get(f"{serving.http}/markets")["markets"]


def test_publish_demo_repeats_until_it_is_interrupted(percolator: Program) -> None:
    """It shows its progress."""
    args = ("publish", "demo", "--speed", "50", "--loop", "--slabs", "4")
    with terminal(percolator, *args) as screen:
        screen.wait_for(b"events,")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
        assert b"interrupted: published" in screen.shown
        assert b"Traceback" not in screen.shown
