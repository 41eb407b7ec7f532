"""`percolator loadtest` as a process, against a real gateway: healthy, harmed, full and gone."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.cli.loadtest.harm import HarmfulProxy
from tests.cli.program import Done, Program, Serving, get
from tests.cli.terminal import terminal
from tests.nats_server import NatsServer

NOTHING = dict.fromkeys(
    ("lost", "announcedAsGap", "doubled", "outOfOrder", "altered", "wrongPrev"), 0
)


def port_of(serving: Serving) -> int:
    """Give the gateway's port."""
    return int(serving.ws.rpartition(":")[2])


def test_a_healthy_gateway_loses_nothing(percolator: Program, serving: Serving) -> None:
    """A hundred clients with the default limits, and nothing is left of them afterwards."""
    done = percolator.run("loadtest", "--duration", "1", "--json", "--max-lost", "0")
    assert (done.code, done.err) == (0, "")
    report = done.json
    assert report["connections"]["opened"] == 100
    assert report["connections"]["refused"] == report["connections"]["endedEarly"] == []
    assert report["published"]["events"] == 100
    assert report["checked"] == NOTHING
    # Every trade and funding to each, and of the 15 prices those that were shown.
    prices = report["deliveries"]["messages"] - 85 * 100
    assert report["pricesConflated"] + prices == 15 * 100
    assert report["latencyMs"]["count"] == 85 * 100
    assert (
        0 < report["latencyMs"]["p50"] <= report["latencyMs"]["p99"] <= report["latencyMs"]["max"]
    )
    assert report["passed"]
    while get(f"{serving.http}/ws/stats")["totalConnections"]:
        pass


@pytest.mark.usefixtures("serving")
def test_the_report_is_readable_in_a_pipe(percolator: Program) -> None:
    """Plain lines, verdicts last."""
    done = percolator.run("loadtest", "--duration", "0.5", "--connections", "4")
    assert done.code == 0
    assert "connections   4 of 4\n" in done.out
    assert done.out.endswith(" deliveries, every event once and in order\n")
    assert "\x1b" not in done.out


@pytest.mark.usefixtures("serving")
def test_one_client_too_many_is_refused_and_it_says_why(percolator: Program) -> None:
    """The limit of a market is a hundred."""
    done = percolator.run("loadtest", "--duration", "0.5", "--connections", "101", "--json")
    assert done.code == 0
    (refused,) = done.json["connections"]["refused"]
    assert (refused["count"], refused["code"]) == (1, "1008")
    assert refused["reason"] == "too many clients on this market"
    assert "max_connections_per_slab is 100" in refused["why"]
    assert done.json["connections"]["opened"] == 100


@pytest.mark.usefixtures("serving")
def test_more_clients_have_room_on_more_markets(percolator: Program) -> None:
    """As that reason says."""
    done = percolator.run(
        *("loadtest", "--duration", "0.5", "--connections", "150", "--slabs", "2", "--json")
    )
    assert done.json["connections"]["opened"] == 150
    assert done.json["checked"] == NOTHING


@pytest.mark.usefixtures("serving")
def test_a_threshold_that_is_not_met_is_exit_code_3(percolator: Program) -> None:
    """Each has a verdict."""
    few = ("loadtest", "--duration", "0.5", "--connections", "4")
    done = percolator.run(*few, "--max-p99-ms", "0.000001", "--max-lost", "0")
    assert done.code == 3
    assert "✗ p99 latency is" in done.out
    assert "✓ none lost, doubled or out of order; none may be" in done.out
    assert percolator.run(*few, "--max-p99-ms", "60000").code == 0


def test_a_gateway_that_harms_the_stream_is_found_out_exactly(
    percolator: Program, serving: Serving
) -> None:
    """What a proxy between the two drops, doubles and swaps is what the report has."""
    proxy = HarmfulProxy(port_of(serving), share=0.05, seed=7)

    async def through_proxy() -> Done:
        async with proxy.listening() as port:
            return await asyncio.to_thread(
                percolator.run,
                *("loadtest", "--duration", "2", "--rate", "200", "--connections", "20"),
                *("--url", f"http://127.0.0.1:{port}", "--json", "--max-lost", "0"),
            )

    done = asyncio.run(through_proxy())
    assert sum(proxy.done.values()) > 100
    assert done.code == 3
    assert done.json["checked"] == NOTHING | proxy.done


@pytest.mark.usefixtures("serving")
def test_markets_that_others_use_too_can_be_tested(percolator: Program) -> None:
    """What was there before is no loss, and NATS is on loopback, so that nobody else sees it."""
    percolator.run("publish", "trade", "SOL", "long", "5", "1.5")
    percolator.run("publish", "funding", "SOL", "0.1")
    done = percolator.run(
        *("loadtest", "--duration", "0.5", "--connections", "8", "--json"),
        *("--slab", "SOL", "--slab", "BTC"),
    )
    assert done.code == 0
    assert done.json["plan"]["slabs"] == ["SOL", "BTC"]
    assert done.json["checked"] == NOTHING


def test_made_up_events_stay_away_from_the_clients_of_others(program: Program) -> None:
    """A NATS elsewhere is not even connected to."""
    nats = ("--nats-url", "nats://127.0.0.1:1,nats://feed.example.org:4222")
    done = program.run("loadtest", "--slab", "SOL", *nats)
    assert (done.code, done.out) == (2, "")
    assert "--force" in done.err
    assert done.err.count("\n") == 1


def test_another_nats_than_the_gateways_is_found_out(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """Events that never arrive would else all be lost ones."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    with other.gateway():  # creates the stream there
        done = other.run("loadtest", "--url", serving.ws, "--connections", "2")
    assert (done.code, done.out) == (1, "")
    assert "--nats-url" in done.err
    assert done.err.count("\n") == 1


def test_a_gateway_that_dies_before_the_first_event_is_no_other_nats(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """Nobody is left who could wait for it."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    with other.gateway() as there:  # creates the stream there
        args = ("loadtest", "--url", serving.ws, "--connections", "2")
        with other.start(*args) as running:
            while get(f"{there.http}/ws/stats")["nats"]["streamSeq"] < 1:
                pass
            serving.running.signal(signal.SIGKILL)
            done = running.end()
    assert (done.code, done.out) == (1, "")
    assert "lost their connection before the first event: 1006, " in done.err
    assert done.err.count("\n") == 1


def test_without_a_gateway_it_is_one_sentence(percolator: Program) -> None:
    """Nothing is published."""
    done = percolator.run("loadtest", "--url", "ws://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: no gateway answers at http://127.0.0.1:1:")


def test_a_gateway_that_dies_meanwhile_is_reported(percolator: Program, serving: Serving) -> None:
    """Everybody's connection ended early, and the report still comes."""
    args = ("loadtest", "--duration", "2", "--connections", "8", "--json")
    before = get(f"{serving.http}/ws/stats")["nats"]["streamSeq"]
    with percolator.start(*args) as running:
        # The second event is not sent before the first has arrived.
        while get(f"{serving.http}/ws/stats")["nats"]["streamSeq"] < before + 2:
            pass
        serving.running.signal(signal.SIGKILL)
        done = running.end()
    assert done.code == 0, done.err
    (ended,) = done.json["connections"]["endedEarly"]
    assert (ended["count"], ended["code"]) == (8, "1006")


@pytest.mark.usefixtures("serving")
def test_the_page_stands_for_itself(percolator: Program, tmp_path: Path) -> None:
    """One file that fetches nothing and runs nothing."""
    path = tmp_path / "report.html"
    args = ("loadtest", "--duration", "1", "--connections", "4", "--report", str(path))
    assert percolator.run(*args).code == 0
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    assert "every event once and in order" in page
    assert page.count("<svg") == 2
    for foreign in ("<script", "<link", "src=", "href=", "url(", "@import"):
        assert foreign not in page


def test_a_page_that_cannot_be_written_is_one_sentence(percolator: Program) -> None:
    """It is found out before the test, not after it."""
    done = percolator.run("loadtest", "--report", "/nowhere/report.html")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "percolator: the report cannot be written to /nowhere/report.html: "
        "choose another --report\n"
    )


@pytest.mark.parametrize(
    ("moment", "args"),
    [
        (b"connecting", ("--ramp", "3600")),
        (b"publishing", ("--duration", "3600")),
        (b"checking", ("--duration", "0.5")),
    ],
)
def test_ctrl_c_ends_it_at_any_moment(
    percolator: Program, serving: Serving, moment: bytes, args: tuple[str, str]
) -> None:
    """Nothing is left: no bar on the terminal, no client at the gateway."""
    with terminal(percolator, "loadtest", *args) as screen:
        screen.wait_for(moment)
        screen.press_ctrl_c()
        assert screen.end() in ([130] if moment != b"checking" else [130, 0])
        assert screen.is_restored()
        assert b"Traceback" not in screen.shown
    while get(f"{serving.http}/ws/stats")["totalConnections"]:
        pass
