"""What the doctor makes of what it knows."""

from typing import Any

import pytest

from percolator.jetstream.subjects import Growth
from percolator_cli.doctor.diagnose import Finding, diagnose
from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts, StreamFacts
from percolator_cli.render.doctor import table
from tests.cli.render.drawing import drawn
from tests.cli.render.test_stats import STATS


def facts() -> Facts:
    """Give those of a gateway with which all is well."""
    stream = StreamFacts("PERCOLATOR", [], 1_000, 1_234_567, newest_age=2.0, newest_ahead=-0.1)
    nats = NatsFacts("nats://127.0.0.1:4222", "", "2.15.1", "", stream)
    well = {"connectionsPerSlab": {"SOL": 3}, "totalConnections": 3, "clientsBehind": 0}
    quiet: dict[str, Any] = {"eventsRejected": 0, "rejectedConnections": {}}
    health = {"status": "ok", "checks": {"state": {"ok": True}, "nats": {"ok": True}}}
    gateway = GatewayFacts("http://127.0.0.1:3001", "", health, STATS | well | quiet, "", "", 0.3)
    return Facts(gateway, nats, is_local=True, descriptors=20_000, descriptors_wanted=1_128)


def of(name: str, given: Facts) -> Finding:
    """Give the last finding on a thing."""
    return [finding for finding in diagnose(given) if finding.name == name][-1]


def test_all_is_well_where_nothing_is_wrong() -> None:
    """Each thing has been looked at."""
    findings = diagnose(facts())
    assert {finding.verdict for finding in findings} == {"ok"}
    assert [finding.name for finding in findings] == [
        *("NATS", "JetStream", "stream", "events"),
        *("gateway", "health", "WebSocket", "clocks", "same stream"),
        *("connections", "clients on SOL", "file descriptors"),
    ]


@pytest.mark.parametrize(
    ("place", "value", "name", "verdict", "words"),
    [
        ("nats.trouble", "NATS cannot be reached", "NATS", "bad", "cannot be reached"),
        ("nats.jetstream_trouble", "off", "JetStream", "bad", "off"),
        ("nats.stream", None, "stream", "bad", "not there"),
        ("nats.stream.differs", ["discard is new"], "stream", "bad", "discard is new"),
        ("nats.stream.newest_age", None, "events", "warning", "none has ever"),
        ("nats.stream.newest_age", 61.0, "events", "warning", "1 min 1 s old"),
        ("nats.stream.newest_age", -3.0, "events", "ok", "0 s old"),
        ("nats.stream.newest_fault", "it is not JSON", "events", "warning", "not JSON"),
        ("nats.stream.newest_ahead", 30.0, "publisher's clock", "warning", "30 s"),
        ("nats.stream.last_seq", 1_240_000, "same stream", "bad", "1,240,000"),
        ("gateway.trouble", "no gateway answers", "gateway", "bad", "no gateway"),
        ("gateway.socket_trouble", "closed with 1013", "WebSocket", "bad", "1013"),
        ("gateway.clock_ahead", 90.0, "clocks", "warning", "ahead of ours"),
        ("gateway.clock_ahead", -90.0, "clocks", "warning", "behind ours"),
        ("gateway.stats", None, "stats", "unknown", ""),
        ("descriptors", 1_000, "file descriptors", "bad", "1,128"),
    ],
)
def test_what_is_wrong_has_a_verdict(
    place: str,
    value: object,
    name: str,
    verdict: str,
    words: str,
) -> None:
    """And says what was seen."""
    given = facts()
    *path, last = place.split(".")
    target: Any = given
    for part in path:
        target = getattr(target, part)
    setattr(target, last, value)
    finding = of(name, given)
    assert finding.verdict == verdict
    assert words in finding.text


@pytest.mark.parametrize(
    ("stats", "name", "verdict"),
    [
        ({"totalConnections": 800}, "connections", "warning"),
        ({"totalConnections": 1_000}, "connections", "bad"),
        ({"connectionsPerSlab": {"A": 1, "B": 160}}, "clients on B", "bad"),
        ({"clientsBehind": 1}, "slow clients", "warning"),
        ({"eventsRejected": 1}, "rejected", "warning"),
        ({"rejectedConnections": {"attempts": 2}}, "refused", "warning"),
        ({"nats": {"connected": True, "streamSeq": 1_234_567, "lag": 5_000}}, "lag", "warning"),
    ],
)
def test_the_gateways_own_counters_are_judged(
    stats: dict[str, Any], name: str, verdict: str
) -> None:
    """Limits that are near or full, clients that cannot keep up, events that are none."""
    given = facts()
    assert given.gateway.stats is not None
    given.gateway.stats = {**given.gateway.stats, **stats}
    finding = of(name, given)
    assert finding.verdict == verdict
    assert finding.advice


def test_a_stream_that_lacks_kinds_is_a_warning_with_the_command() -> None:
    """It is served as it is; an operator adds the rest when he likes."""
    given = facts()
    assert given.nats.stream is not None
    given.nats.stream.growth = Growth("the stream S takes no liquidation events", "nats stream ...")
    finding = of("kinds", given)
    assert (finding.verdict, finding.advice) == ("warning", "run: nats stream ...")


def test_a_gateway_that_is_not_ready_says_why() -> None:
    """Each check of its health that fails."""
    given = facts()
    checks = {"nats": {"ok": False, "reason": "not connected to NATS"}}
    given.gateway.health = {"status": "unavailable", "checks": checks}
    assert of("health: nats", given).text == "not connected to NATS"


def test_a_gateway_elsewhere_has_its_own_file_descriptors() -> None:
    """Ours say nothing of it."""
    given = facts()
    given.is_local = False
    assert "file descriptors" not in [finding.name for finding in diagnose(given)]


@pytest.mark.parametrize("width", [40, 80])
def test_the_findings_fit_the_terminal(width: int) -> None:
    """With what to do below what was seen."""
    given = facts()
    given.nats.trouble = "NATS at nats://127.0.0.1:4222 cannot be reached: nothing answers there"
    shown = drawn(table(diagnose(given), width, drawn=True), width)
    assert all(len(line) <= width for line in shown)
    assert shown[-1] == "1 fault."
    assert shown[0].startswith("✗ NATS")
