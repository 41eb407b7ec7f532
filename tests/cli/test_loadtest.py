"""`percolator loadtest` as a process, against gateways that are healthy, faulty, full or gone."""

import asyncio
import signal
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.loadtest.harm import HarmfulProxy
from tests.cli.program import Done, Program, Serving, get
from tests.cli.terminal import terminal
from tests.nats_server import NatsServer

NOTHING = dict.fromkeys(
    ("lost", "announcedAsGap", "doubled", "outOfOrder", "altered", "wrongPrev"), 0
)


def port_of(serving: Serving) -> int:
    """Return the gateway's port."""
    return int(serving.ws.rpartition(":")[2])


def test_a_load_test_finds_no_loss_at_a_healthy_gateway(
    percolator: Program, serving: Serving
) -> None:
    """A hundred clients with the default limits; afterwards all are disconnected."""
    done = percolator.run("loadtest", "--duration", "1", "--json", "--max-lost", "0")
    assert (done.code, done.err) == (0, "")
    report = done.json
    assert report["connections"]["opened"] == 100
    assert report["connections"]["refused"] == report["connections"]["endedEarly"] == []
    assert report["published"]["events"] == 100
    assert report["checked"] == NOTHING
    # Each client gets every trade and funding, and those of the 15 prices that were not conflated.
    prices = report["deliveries"]["messages"] - 85 * 100
    assert report["pricesConflated"] + prices == 15 * 100
    assert report["latencyMs"]["count"] == 85 * 100
    assert (
        0 < report["latencyMs"]["p50"] <= report["latencyMs"]["p99"] <= report["latencyMs"]["max"]
    )
    assert report["passed"]
    while get(f"{serving.http}/ws/stats")["totalConnections"]:
        pass


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_markets_of_a_load_test_retire_at_its_end(
    percolator: Program, serving: Serving, *, interrupted: bool
) -> None:
    """Also if it is interrupted: no page lists them from then on."""
    duration = "30" if interrupted else "2"
    with percolator.start("loadtest", "--duration", duration, "--slabs", "3") as running:
        slabs: list[str] = []
        while len(slabs) < 3:
            slabs = [*get(f"{serving.http}/markets")["markets"]]
        if interrupted:
            running.signal(signal.SIGINT)
        done = running.end()
    assert done.code == (130 if interrupted else 0)
    while get(f"{serving.http}/markets")["markets"]:
        pass
    for slab in slabs:
        assert get(f"{serving.http}/markets/{slab}")["market"]["status"] == "retired"


@pytest.mark.usefixtures("serving")
def test_the_report_in_a_pipe_is_plain_text(percolator: Program) -> None:
    """The verdicts come last."""
    done = percolator.run("loadtest", "--duration", "0.5", "--connections", "4")
    assert done.code == 0
    assert "connections   4 of 4\n" in done.out
    assert done.out.endswith(" deliveries, every event once and in order\n")
    assert "\x1b" not in done.out


@pytest.mark.usefixtures("serving")
def test_the_report_says_why_one_client_too_many_was_refused(percolator: Program) -> None:
    """The limit per market is a hundred."""
    done = percolator.run("loadtest", "--duration", "0.5", "--connections", "101", "--json")
    assert done.code == 0
    (refused,) = done.json["connections"]["refused"]
    assert (refused["count"], refused["code"]) == (1, "1008")
    assert refused["reason"] == "too many clients on this market"
    assert "max_connections_per_slab is 100" in refused["why"]
    assert done.json["connections"]["opened"] == 100


@pytest.mark.usefixtures("serving")
def test_more_clients_connect_if_there_are_more_markets(percolator: Program) -> None:
    """This is the advice given if the limit per market is reached."""
    done = percolator.run(
        *("loadtest", "--duration", "0.5", "--connections", "150", "--slabs", "2", "--json")
    )
    assert done.json["connections"]["opened"] == 150
    assert done.json["checked"] == NOTHING


@pytest.mark.usefixtures("serving")
def test_an_exceeded_threshold_is_exit_code_3(percolator: Program) -> None:
    """Each threshold has a verdict."""
    few = ("loadtest", "--duration", "0.5", "--connections", "4")
    done = percolator.run(*few, "--max-p99-ms", "0.000001", "--max-lost", "0")
    assert done.code == 3
    assert "✗ p99 latency " in done.out
    assert "✓ none lost, duplicated or out of order (allowed: 0)" in done.out
    assert percolator.run(*few, "--max-p99-ms", "60000").code == 0


def test_the_report_counts_every_harm_done_to_the_stream(
    percolator: Program, serving: Serving
) -> None:
    """It counts exactly what a proxy in between drops, duplicates and swaps."""
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
def test_a_load_test_can_use_existing_markets(percolator: Program) -> None:
    """Earlier events do not count as lost. No --force is needed, as NATS is on loopback."""
    percolator.run("publish", "trade", "SOL", "long", "5", "1.5")
    percolator.run("publish", "funding", "SOL", "0.1")
    done = percolator.run(
        *("loadtest", "--duration", "0.5", "--connections", "8", "--json"),
        *("--slab", "SOL", "--slab", "BTC"),
    )
    assert done.code == 0
    assert done.json["plan"]["slabs"] == ["SOL", "BTC"]
    assert done.json["checked"] == NOTHING


def test_the_clients_of_a_load_test_can_follow_all_markets(
    percolator: Program, serving: Serving
) -> None:
    """Each market is checked by itself, also one of another publisher; nothing is false."""
    percolator.run("publish", "price", "SOL", "5")
    percolator.run("publish", "trade", "SOL", "long", "5", "1.5")
    done = percolator.run(
        *("loadtest", "--duration", "1", "--rate", "200", "--connections", "20", "--slabs", "30"),
        *("--all-markets", "--json", "--max-lost", "0"),
    )
    assert (done.code, done.err) == (0, "")
    report = done.json
    assert report["connections"]["opened"] == 20
    assert report["plan"]["allMarkets"]
    assert report["checked"] == NOTHING
    assert report["published"]["events"] == 200
    lossless = report["published"]["trades"] + report["published"]["fundings"]
    assert report["latencyMs"]["count"] == 20 * lossless
    while get(f"{serving.http}/ws/stats")["totalConnections"]:
        pass


def test_the_report_says_that_too_many_clients_follow_all_markets(percolator: Program) -> None:
    """They have a limit of their own."""
    with percolator.gateway("--max-wildcard-connections", "2") as gateway:
        done = percolator.run(
            *("loadtest", "--duration", "0.5", "--connections", "3", "--json", "--all-markets"),
            *("--url", gateway.ws),
        )
    (refused,) = done.json["connections"]["refused"]
    assert (refused["count"], refused["code"]) == (1, "1008")
    assert refused["why"] == "max_wildcard_connections is 2: raise the limit"


def test_a_load_test_of_the_market_star_names_the_right_flag(program: Program) -> None:
    done = program.run("loadtest", "--slab", "*")
    assert (done.code, done.out) == (2, "")
    assert "use --all-markets" in done.err


def test_heartbeats_are_counted_as_what_they_are(percolator: Program) -> None:
    """The market is quiet for two seconds after each event."""
    with percolator.gateway("--heartbeat-interval", "1") as gateway:
        done = percolator.run(
            *("loadtest", "--duration", "4", "--rate", "0.5", "--connections", "2", "--json"),
            *("--url", gateway.ws, "--max-lost", "0"),
        )
    assert done.code == 0, done.err
    assert done.json["checked"] == NOTHING
    assert done.json["heartbeats"] >= 2


def test_the_report_says_how_long_the_feed_was_stale(
    percolator: Program, nats_process: NatsServer
) -> None:
    """NATS stands still for three seconds; nothing is lost by it."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    args = ("--connections", "2", "--rate", "10", "--duration", "2", "--max-lost", "0", "--json")
    with other.gateway() as there, connect(f"{there.ws}/ws") as watching:
        watching.recv()
        watching.send('{"type":"subscribe","channels":["trades:*"]}')
        with other.start("loadtest", "--url", there.ws, *args) as running:
            while '"trade"' not in watching.recv():
                pass
            nats_process.freeze()
            while '"stale"' not in watching.recv():
                pass
            nats_process.thaw()
            done = running.end()
    assert done.code == 0, done.err
    assert done.json["checked"] == NOTHING
    assert done.json["feedStaleSeconds"] > 0


def test_a_load_test_refuses_to_send_made_up_events_to_real_clients(program: Program) -> None:
    """It does not even connect to a NATS on another machine."""
    nats = ("--nats-url", "nats://127.0.0.1:1,nats://feed.example.org:4222")
    done = program.run("loadtest", "--slab", "SOL", *nats)
    assert (done.code, done.out) == (2, "")
    assert "--force" in done.err
    assert done.err.count("\n") == 1


def test_a_load_test_finds_that_the_gateway_uses_another_nats(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """Otherwise all events would be reported as lost."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    with other.gateway():  # creates the stream there
        done = other.run("loadtest", "--url", serving.ws, "--connections", "2")
    assert (done.code, done.out) == (1, "")
    assert "--nats-url" in done.err
    assert done.err.count("\n") == 1


def test_a_gateway_that_dies_before_the_first_event_is_reported_as_such(
    percolator: Program, serving: Serving, nats_process: NatsServer
) -> None:
    """It must not be mistaken for a gateway that uses another NATS."""
    other = Program(percolator.folder, nats_url=nats_process.url)
    with other.gateway("--requests-per-second", "0") as there:  # creates the stream there
        args = ("loadtest", "--url", serving.ws, "--connections", "2")
        with other.start(*args) as running:
            while get(f"{there.http}/ws/stats")["nats"]["streamSeq"] < 1:
                pass
            serving.running.signal(signal.SIGKILL)
            done = running.end()
    assert (done.code, done.out) == (1, "")
    assert "were disconnected before the first event: 1006, " in done.err
    assert done.err.count("\n") == 1


def test_a_load_test_without_a_gateway_fails_with_one_sentence(percolator: Program) -> None:
    """No event is published."""
    done = percolator.run("loadtest", "--url", "ws://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: no gateway answers at http://127.0.0.1:1:")


def test_a_gateway_that_dies_during_the_test_is_reported(
    percolator: Program, serving: Serving
) -> None:
    """The report still appears and lists all connections as ended early."""
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
def test_the_report_page_is_self_contained(percolator: Program, tmp_path: Path) -> None:
    """It has no scripts and loads no external resources."""
    path = tmp_path / "report.html"
    args = ("loadtest", "--duration", "1", "--connections", "4", "--report", str(path))
    assert percolator.run(*args).code == 0
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    assert "every event once and in order" in page
    assert page.count("<svg") == 2
    for foreign in ("<script", "<link", "src=", "href=", "url(", "@import"):
        assert foreign not in page


def test_an_unwritable_report_page_is_reported_before_the_test(percolator: Program) -> None:
    """The error is one sentence."""
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
def test_ctrl_c_stops_a_load_test_in_every_phase(
    percolator: Program, serving: Serving, moment: bytes, args: tuple[str, str]
) -> None:
    """The progress bar disappears, and all clients disconnect."""
    with terminal(percolator, "loadtest", *args) as screen:
        screen.wait_for(moment)
        screen.press_ctrl_c()
        assert screen.end() in ([130] if moment != b"checking" else [130, 0])
        assert screen.is_restored()
        assert b"Traceback" not in screen.shown
    while get(f"{serving.http}/ws/stats")["totalConnections"]:
        pass
