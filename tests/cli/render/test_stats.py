"""The screen of `percolator stats`, on recorded data."""

from typing import Any

import pytest

from percolator_cli.render.stats import Status, nothing_yet, screen
from tests.cli.render.drawing import drawn

STATS: dict[str, Any] = {
    "totalConnections": 345,
    "connectionsPerSlab": {"BTC": 100, "ETH": 85, "SOL": 160},
    "messagesPerSec": 12_345.67,
    "bytesPerSec": 1_449_999.5,
    "limits": {
        "maxGlobalConnections": 1_000,
        "maxConnectionsPerSlab": 160,
        "maxConnectionsPerIp": 5,
    },
    "messagesSentPerSec": 12_300.0,
    "messagesReceivedPerSec": 45.67,
    "bytesSentPerSec": 1_447_000.0,
    "bytesReceivedPerSec": 2_999.5,
    "eventsPerSec": 310.5,
    "clientsBehind": 2,
    "eventsRejected": 1_234,
    "rejectedConnections": {"attempts": 1, "too many connections": 31},
    "closed": {"1000": 34, "1006": 212, "1008": 3},
    "uptimeSeconds": 7_980.4,
    "nats": {"connected": True, "streamSeq": 1_234_567, "lag": 12},
}
NOW = 1_722_000_000_000
MARKETS: dict[str, Any] = {
    "SOL": {
        "slab": "SOL",
        "price": {"price": 1.5, "markPrice": 1.51, "timestamp": NOW - 500, "seq": 1},
        "funding": {"rate": "0.0001", "timestamp": NOW - 60_000, "seq": 2},
    },
    "BTC": {"slab": "BTC", "price": {"price": 61_807.95, "timestamp": NOW - 7_980_000, "seq": 3}},
    "DOGE": {"slab": "DOGE", "trade": {"price": 0.1, "timestamp": NOW + 5_000, "seq": 4}},
}
URL = "http://127.0.0.1:3001"
HISTORY = {name: [1.0, 2.0, 4.0] for name in ("messagesPerSec", "bytesPerSec", "eventsPerSec")}


def status(**changes: Any) -> Status:  # noqa: ANN401 - fields of the stats
    """Return the status of the recorded gateway, with some of its stats changed."""
    return Status(URL, STATS | changes, MARKETS, NOW, history=HISTORY)


def lines(given: Status, *, width: int = 80, rows: int | None = 24) -> list[str]:
    """Return the lines of the screen."""
    return drawn(screen(given, width, rows=rows, drawn=True), width)


def test_clients_of_all_markets_have_a_line_with_their_limit_and_are_no_market() -> None:
    """The screen is as high as it may be, with and without them."""
    slabs = {"*": 90, "BTC": 100} | {f"M{number}": 1 for number in range(40)}
    limits = STATS["limits"] | {"maxWildcardConnections": 100}
    shown = lines(status(connectionsPerSlab=slabs, limits=limits))
    assert line_of("on all markets", shown)[:4] == ["90", "of", "100", "90"]
    assert line_of("on BTC", shown)[:3] == ["100", "of", "160"]
    assert not any(line.startswith("*") for line in shown)
    assert len(shown) == 24
    del slabs["*"]
    shown = lines(status(connectionsPerSlab=slabs, limits=limits))
    assert not any(line.startswith("on all") for line in shown)
    assert len(shown) == 24


def line_of(name: str, given: list[str]) -> list[str]:
    """Find a line by its first words and return its other words."""
    (found,) = [line for line in given if line.startswith(name)]
    return found.removeprefix(name).split()


def test_the_screen_shows_the_totals() -> None:
    """It has uptime, NATS, rates with their history, limits and counts of problems."""
    shown = lines(status())
    assert shown[0] == f"percolator  {URL}  up 2 h 13 min"
    assert shown[1] == "NATS        connected  seq 1,234,567  lag 12"
    assert line_of("messages", shown) == ["12,346", "12,300", "45.7", "▃▅█"]
    assert line_of("bytes", shown) == ["1.4", "MB", "1.4", "MB", "3.0", "kB", "▃▅█"]
    assert line_of("connections  ", shown)[:5] == ["345", "of", "1,000", "34", "%"]
    assert line_of("on SOL", shown) == ["160", "of", "160", "100", "%", "█" * 26]
    assert line_of("slow clients", shown) == ["2"]
    assert line_of("refused", shown) == [
        "too",
        "many",
        "connections:",
        "31,",
        "attempts:",
        "1",
    ]
    assert line_of("closed", shown) == ["1006:", "212,", "1000:", "34,", "1008:", "3"]


def test_the_screen_sorts_markets_by_their_clients() -> None:
    """Unknown values are blank."""
    shown = lines(status())
    heading = next(number for number, line in enumerate(shown) if line.startswith("market"))
    rows = [line.split() for line in shown[heading + 1 :]]
    assert rows == [
        ["SOL", "160", "1.5", "1.51", "0.0001", "0", "s"],
        ["BTC", "100", "61,807.95", "2", "h", "13", "min"],
        ["ETH", "85"],
        ["DOGE", "0", "0", "s"],
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("markets", [0, 1, 8, 9, 500])
def test_the_screen_fits_the_terminal(width: int, markets: int) -> None:
    """Markets without room are counted."""
    slabs = {f"{number}{'x' * 60}": number for number in range(markets)}
    given = Status(URL, STATS | {"connectionsPerSlab": slabs}, {}, NOW, history=HISTORY)
    shown = lines(given, width=width)
    assert len(shown) <= 24
    assert all(len(line) <= width for line in shown)
    if markets == 500:
        assert shown[-1] == "and 493 more markets"


def test_the_screen_shows_every_market_if_its_height_is_not_limited() -> None:
    """This is the output in a pipe, which has no bars either."""
    slabs = {f"S{number}": 1 for number in range(500)}
    given = Status(URL, STATS | {"connectionsPerSlab": slabs}, {}, NOW)
    shown = drawn(screen(given, 200, rows=None, drawn=False), 200)
    assert sum(line.startswith("S") for line in shown) == 500
    assert not any(mark in line for line in shown for mark in "▁█▏")


def test_the_screen_shows_no_share_for_a_disabled_limit() -> None:
    """It shows "no limit" instead."""
    limits = {"maxGlobalConnections": 0, "maxConnectionsPerSlab": 0, "maxConnectionsPerIp": 0}
    shown = lines(status(limits=limits))
    assert line_of("connections  ", shown) == ["345", "no", "limit"]


def test_the_screen_shows_trouble_instead_of_the_uptime() -> None:
    """Everything else that was known remains visible."""
    given = Status(URL, STATS, MARKETS, NOW, trouble="no answer since 12:34:56")
    assert lines(given)[0] == f"percolator  {URL}  no answer since 12:34:56"
    assert drawn(nothing_yet(given)) == [f"percolator  {URL}", "no answer since 12:34:56"]


def test_the_screen_says_if_nats_is_not_connected() -> None:
    """It says so in words, not only with a colour."""
    shown = lines(status(nats={"connected": False, "streamSeq": 7, "lag": 0}))
    assert shown[1].startswith("NATS        not connected")
