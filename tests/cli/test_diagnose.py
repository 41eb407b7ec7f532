"""The doctor's conclusions from the facts."""

from typing import Any

import pytest

from percolator.jetstream.subjects import Growth
from percolator.model.server_messages import Connected, FeedState, Limits
from percolator_cli.doctor.diagnose import Finding, diagnose
from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts, StreamFacts
from percolator_cli.render.doctor import table
from percolator_cli.render.figures import clock
from tests.cli.render.drawing import drawn
from tests.cli.render.test_stats import STATS

WILD = {"maxGlobalConnections": 0, "maxConnectionsPerSlab": 5, "maxWildcardConnections": 100}
STALE = Connected(type="connected", epoch="e", seq=1, feed=FeedState(state="stale", since=7_000))


def facts() -> Facts:
    """Return the facts of a gateway without problems."""
    stream = StreamFacts("PERCOLATOR", [], 1_000, 1_234_567, newest_age=2.0, newest_ahead=-0.1)
    nats = NatsFacts("nats://127.0.0.1:4222", "", "2.15.1", "", stream)
    well = {"connectionsPerSlab": {"SOL": 3}, "totalConnections": 3, "clientsBehind": 0}
    quiet: dict[str, Any] = {"eventsRejected": 0, "rejectedConnections": {}}
    health = {"status": "ok", "checks": {"state": {"ok": True}, "nats": {"ok": True}}}
    gateway = GatewayFacts("http://127.0.0.1:3001", "", health, STATS | well | quiet, "", "")
    gateway.greeting, gateway.clock_ahead = greeting(), 0.3
    return Facts(gateway, nats, is_local=True, descriptors=20_000, descriptors_wanted=1_128)


def greeting(**changes: Any) -> Connected:  # noqa: ANN401 - fields of Connected
    """Return the greeting of a gateway, with some fields changed."""
    fields: dict[str, Any] = {
        "heartbeatMs": 15_000,
        "limits": Limits(messageBurst=100, channels=200),
    } | changes
    return Connected(type="connected", epoch="e", seq=1, **fields)


def of(name: str, given: Facts) -> Finding:
    """Return the last finding of a name."""
    return [finding for finding in diagnose(given) if finding.name == name][-1]


def test_the_doctor_finds_everything_ok_if_nothing_is_wrong() -> None:
    """Everything was checked."""
    findings = diagnose(facts())
    assert {finding.verdict for finding in findings} == {"ok"}
    assert [finding.name for finding in findings] == [
        *("NATS", "JetStream", "stream", "events"),
        *("gateway", "health", "WebSocket", "limits per client", "heartbeats", "feed"),
        *("clocks", "same stream"),
        *("connections", "clients on SOL", "file descriptors"),
    ]


@pytest.mark.parametrize(
    ("creates", "words"), [(True, "start a gateway once"), (False, "nats stream add --config")]
)
def test_the_doctor_says_what_creates_a_missing_stream(creates: bool, words: str) -> None:  # noqa: FBT001
    """A gateway, or the operator."""
    given = facts()
    given.nats.stream, given.nats.gateway_creates = None, creates
    assert words in of("stream", given).advice


@pytest.mark.parametrize(
    ("place", "value", "name", "verdict", "words"),
    [
        ("nats.trouble", "NATS cannot be reached", "NATS", "bad", "cannot be reached"),
        ("nats.jetstream_trouble", "off", "JetStream", "bad", "off"),
        ("nats.stream", None, "stream", "bad", "missing"),
        ("nats.stream.differs", ["discard is new"], "stream", "bad", "discard is new"),
        ("nats.stream.newest_age", None, "events", "warning", "none published yet"),
        ("nats.stream.newest_age", 61.0, "events", "warning", "1 min 1 s old"),
        ("nats.stream.newest_age", -3.0, "events", "ok", "0 s old"),
        ("nats.stream.newest_fault", "it is not JSON", "events", "warning", "it is not JSON"),
        ("nats.stream.newest_ahead", 30.0, "publisher's clock", "warning", "30 s"),
        ("nats.stream.last_seq", 1_240_000, "same stream", "bad", "1,240,000"),
        ("gateway.trouble", "no gateway answers", "gateway", "bad", "no gateway"),
        ("gateway.socket_trouble", "closed with 1013", "WebSocket", "bad", "1013"),
        ("gateway.greeting", STALE, "feed", "bad", f"stale since {clock(7_000)}: "),
        ("gateway.refused", ["a:B: not valid"], "channel", "bad", "refused: a:B: not valid"),
        ("gateway.unknown", ["price:sol"], "channel", "warning", "price:sol has no event yet"),
        ("gateway.clock_ahead", 90.0, "clocks", "warning", "ahead of this machine's"),
        ("gateway.clock_ahead", -90.0, "clocks", "warning", "behind this machine's"),
        ("gateway.stats", None, "stats", "unknown", ""),
        ("descriptors", 1_000, "file descriptors", "bad", "1,128"),
    ],
)
def test_the_doctor_has_a_verdict_on_each_problem(
    place: str,
    value: object,
    name: str,
    verdict: str,
    words: str,
) -> None:
    """The finding says what was observed."""
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
        ({"connectionsPerSlab": {"*": 90}, "limits": WILD}, "clients of all", "warning"),
        ({"clientsBehind": 1}, "slow clients", "warning"),
        ({"eventsRejected": 1}, "rejected", "warning"),
        ({"rejectedConnections": {"attempts": 2}}, "refused", "warning"),
        ({"nats": {"connected": True, "streamSeq": 1_234_567, "lag": 5_000}}, "lag", "warning"),
    ],
)
def test_the_doctor_has_a_verdict_on_the_gateways_counters(
    stats: dict[str, Any], name: str, verdict: str
) -> None:
    """Limits that are nearly or fully reached, slow clients and invalid events."""
    given = facts()
    assert given.gateway.stats is not None
    given.gateway.stats = {**given.gateway.stats, **stats}
    finding = of(name, given)
    assert finding.verdict == verdict
    assert finding.advice


def test_the_doctor_shows_the_command_that_adds_missing_kinds_to_a_stream() -> None:
    """The stream is served as it is, so this is a warning."""
    given = facts()
    assert given.nats.stream is not None
    growth = Growth("kinds", "the stream S takes no liquidation events", "nats stream ...")
    given.nats.stream.growth = (growth,)
    finding = of("kinds", given)
    assert (finding.verdict, finding.advice) == ("warning", "run: nats stream ...")


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        (
            {},
            "limits per client",
            "10 messages/s, 100 at once, of 4,096 bytes, 200 channels, 10,000 events per replay",
        ),
        (
            {"limits": Limits(messagesPerSecond=0, messageBytes=0, channels=0, replay=0)},
            "limits per client",
            "any number of messages, of any size, any number of channels, replays of any length",
        ),
        ({}, "heartbeats", "after 15 s without a message"),
        ({"heartbeatMs": 0}, "heartbeats", "off"),
        ({}, "feed", "live"),
    ],
)
def test_the_doctor_says_what_the_gateway_tells_its_clients(
    changes: dict[str, Any], name: str, text: str
) -> None:
    """The limits, the heartbeats and the feed, from the greeting."""
    given = facts()
    given.gateway.greeting = greeting(**changes)
    assert of(name, given) == Finding(name, "ok", text)


def test_the_doctor_says_what_to_do_about_a_stale_feed() -> None:
    """It is a problem, although the gateway answers."""
    given = facts()
    given.gateway.greeting = STALE
    assert of("feed", given).advice.startswith("check that NATS runs")


def test_clients_of_all_markets_are_not_the_clients_of_a_market() -> None:
    """They have a limit of their own."""
    given = facts()
    assert given.gateway.stats is not None
    given.gateway.stats = {**given.gateway.stats, "connectionsPerSlab": {"*": 9}, "limits": WILD}
    names = [finding.name for finding in diagnose(given)]
    assert "clients of all" in names
    assert "clients on *" not in names


def test_the_doctor_reports_why_a_gateway_is_not_ready() -> None:
    """There is one finding per failed health check."""
    given = facts()
    checks = {"nats": {"ok": False, "reason": "not connected to NATS"}}
    given.gateway.health = {"status": "unavailable", "checks": checks}
    assert of("health: nats", given).text == "not connected to NATS"


def test_the_doctor_ignores_this_machines_descriptors_if_the_gateway_is_remote() -> None:
    """The remote machine has its own limit."""
    given = facts()
    given.is_local = False
    assert "file descriptors" not in [finding.name for finding in diagnose(given)]


def test_a_server_that_refuses_us_need_not_be_started() -> None:
    """Its trouble says what to do; only of one that does not answer, the doctor does."""
    given = facts()
    given.nats.trouble = "NATS cannot be reached: Authorization Violation; check nats_user"
    assert "start it" in of("NATS", given).advice
    given.nats.answers = True
    assert not of("NATS", given).advice


def test_the_trouble_of_a_feed_that_is_ready_is_a_warning() -> None:
    """The gateway is ready all the same."""
    given = facts()
    assert given.gateway.health is not None
    checks = {"feed": {"ok": True, "trouble": "NATS does not create a consumer"}}
    given.gateway.health = {"status": "ok", "checks": checks}
    found = of("health: feed", given)
    assert (found.verdict, found.text) == ("warning", "NATS does not create a consumer")
    assert of("health", given).verdict == "ok"


@pytest.mark.parametrize("width", [40, 80])
def test_the_findings_fit_the_terminal(width: int) -> None:
    """The advice is on the line below the observation."""
    given = facts()
    given.nats.trouble = "NATS at nats://127.0.0.1:4222 cannot be reached: nothing answers there"
    shown = drawn(table(diagnose(given), width, drawn=True), width)
    assert all(len(line) <= width for line in shown)
    assert shown[-1] == "1 problem."
    assert shown[0].startswith("✗ NATS")
