"""The report of `percolator loadtest`, in a terminal and as a page, on recorded data."""

from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from percolator_cli.loadtest.account import Account
from percolator_cli.loadtest.measured import Measured, Refusal, Sample
from percolator_cli.loadtest.plan import Plan, Thresholds
from percolator_cli.loadtest.report import report
from percolator_cli.render.loadtest import shown
from percolator_cli.render.page import page
from tests.cli.render.drawing import drawn

LIMITS = {"maxGlobalConnections": 1_000, "maxConnectionsPerSlab": 100, "maxConnectionsPerIp": 5}
URL = "http://127.0.0.1:3001"


def measured(**changes: Any) -> Measured:  # noqa: ANN401 - fields of Measured
    """Return the measurements of a run of ten seconds."""
    plan = Plan(101, ("loadtest-x",), own=True, duration=10, rate=100, ramp=0)
    found = Measured(
        plan, opened=100, publishing=10.0, cpu=0.34, deliveries=86_500, bytes=9_800_000
    )
    found.refusals = Counter({Refusal("1008", "too many clients on this market"): 1})
    found.published = Counter(trade=800, price=150, funding=50)
    found.account = Account(conflated=13_500)
    found.samples = [Sample(at, int(at * 100), int(at * 8_650)) for at in (0.0, 0.5, 1.0)]
    for _ in range(100):
        found.handshakes.add(0.0032)
    found.latency.add(0.0004, 10)
    found.latency.add(0.0035, 84_000)
    found.latency.add(0.0143, 990)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def lines(data: dict[str, Any], width: int = 80) -> list[str]:
    """Return the lines of a report."""
    return drawn(shown(data, width, drawn=True), width)


def test_the_report_shows_every_figure() -> None:
    """This is how it looks in a terminal of 80 columns."""
    data = report(measured(), URL, LIMITS, Thresholds(p99_ms=20, lost=0))
    assert lines(data) == [
        "percolator loadtest  http://127.0.0.1:3001",
        "",
        "plan          101 clients on loadtest-x, 100 events/s for 10 s",
        "connections   100 of 101",
        "refused       1 with 1008, too many clients on this market",
        "              (max_connections_per_slab is 100: spread the clients with --slabs,",
        "              or raise the limit)",
        "handshake     p50 3.20 ms  p90 3.20 ms  p99 3.20 ms  max 3.20 ms",
        "published     1,000 events, 100/s (800 trades, 150 prices, 50 fundings)",
        "deliveries    86,500, 8,650/s, 9.8 MB, 980 kB/s",
        "conflated     13,500 prices, replaced by newer ones",
        "latency       p50 3.53 ms  p90 3.53 ms  p99 14.3 ms  max 14.3 ms",
        "load test     34 % of a core",
        "",
        " up to 0.5 ms ▏                                                     10",
        "   up to 1 ms                                                        0",
        "   up to 2 ms                                                        0",
        "   up to 5 ms ████████████████████████████████████████████      84,000",
        "  up to 10 ms                                                        0",
        "  up to 20 ms ▌                                                    990",
        "",
        "✓ none lost, duplicated or out of order (allowed: 0)",
        "✓ p99 latency 14.3 ms (allowed: 20 ms)",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_report_fits_the_terminal(width: int) -> None:
    """Long lines are folded."""
    assert all(
        len(line) <= width for line in lines(report(measured(), URL, LIMITS, Thresholds()), width)
    )


@pytest.mark.parametrize(
    ("account", "thresholds", "passed", "verdicts"),
    [
        (Account(), Thresholds(), True, [True]),
        (Account(lost=1), Thresholds(), True, [False]),
        (Account(lost=1), Thresholds(lost=0), False, [False]),
        (Account(lost=2), Thresholds(lost=2), True, [True]),
        (Account(duplicated=1), Thresholds(lost=0), False, [False]),
        (Account(out_of_order=1), Thresholds(lost=0), False, [False]),
        (Account(altered=1), Thresholds(lost=0), False, [False]),
        (Account(wrong_prev=1), Thresholds(lost=0), False, [False]),
        (Account(), Thresholds(p99_ms=14.3), True, [True, True]),
        (Account(), Thresholds(p99_ms=14), False, [True, False]),
    ],
)
def test_only_thresholds_fail_a_run_but_every_error_has_a_verdict(
    account: Account, thresholds: Thresholds, *, passed: bool, verdicts: list[bool]
) -> None:
    """Without a threshold, errors are reported but do not change the exit code."""
    data = report(measured(account=account), URL, LIMITS, thresholds)
    assert data["passed"] is passed
    assert [each["passed"] for each in data["verdicts"]] == verdicts


def test_the_report_says_that_the_feed_was_stale_and_counts_heartbeats() -> None:
    """Neither is a fault of the run."""
    data = report(measured(heartbeats=1_200, stale=3.21), URL, LIMITS, Thresholds(lost=0))
    assert data["passed"]
    shown = lines(data)
    assert "heartbeats    1,200" in shown
    assert "feed          the feed was stale for 3.2 s: the gateway did not hear from NATS" in shown
    assert not any(
        line.startswith(("heartbeats", "feed"))
        for line in lines(report(measured(), URL, LIMITS, Thresholds()))
    )


def test_the_report_of_clients_of_all_markets_says_what_they_follow() -> None:
    """And on how many markets the events were."""
    plan = Plan(100, ("a", "b"), own=True, duration=10, rate=100, ramp=0, all_markets=True)
    refusals = Counter({Refusal("1008", "too many clients on this market"): 1})
    data = report(
        measured(plan=plan, refusals=refusals),
        URL,
        LIMITS | {"maxWildcardConnections": 99},
        Thresholds(),
    )
    assert lines(data)[2].endswith("100 clients on all markets, 100 events/s on 2 markets for 10 s")
    assert "max_wildcard_connections is 99" in "".join(lines(data))
    assert "100 clients on all markets, events on a, b, " in page(data, "today")


def test_a_run_without_deliveries_fails_its_latency_threshold() -> None:
    """It has no latency."""
    empty = Measured(Plan(1, ("x",), own=True, duration=1, rate=1, ramp=0))
    data = report(empty, URL, LIMITS, Thresholds(p99_ms=1_000))
    assert not data["passed"]
    assert lines(data)
    assert page(data, "today")


def send_lag() -> Any:  # noqa: ANN401 - a histogram
    """Return the send lag of a load test that was delayed."""
    found = Measured(measured().plan).send_lag
    found.add(0.2)
    return found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"cpu": 0.97}, "the load test used 97 % of a core"),
        ({"send_lag": send_lag()}, "the load test sent its events late, by up to 200 ms (p99)"),
        (
            {"published": Counter(trade=900)},
            "only 90 % of the requested events could be published",
        ),
    ],
)
def test_the_report_says_if_the_load_test_was_the_bottleneck(
    changes: dict[str, Any], why: str
) -> None:
    """It also says why."""
    data = report(measured(**changes), URL, LIMITS, Thresholds())["loadTest"]
    assert (data["bottleneck"], data["why"]) == (bool(why), why)


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (Refusal("1008", "too many connections"), "max_connections is 1000"),
        (Refusal("1008", "too many connections from this address"), "max_connections_per_ip is 5"),
        (Refusal("HTTP 429", ""), "attempts_per_second"),
        (Refusal("HTTP 401", ""), "--token"),
        (Refusal("1013", "not ready, try again later"), "/health"),
    ],
)
def test_the_report_says_what_to_do_about_each_refusal(refusal: Refusal, why: str) -> None:
    """It names the limit and its value."""
    data = report(measured(refusals=Counter([refusal])), URL, LIMITS, Thresholds())
    assert why in data["connections"]["refused"][0]["why"]


class Tags(HTMLParser):
    """Asserts that every tag that is opened is closed."""

    VOID = frozenset({"meta", "rect", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Push the tag."""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Pop the matching tag."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data


def test_the_page_is_well_formed_and_shows_the_same_figures() -> None:
    """The gateway's replies are escaped."""
    refusals = Counter({Refusal("1008", "<script>alert(1)</script>"): 3})
    data = report(measured(refusals=refusals), URL, LIMITS, Thresholds(p99_ms=1))
    text = page(data, "8 August 2024")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert "<script" not in text
    for figure in ("86,500", "14.3 ms", "100 of 101", "8 August 2024", "<script>alert(1)</script>"):
        assert figure in tags.text
