"""Renderers show something for each valid value, and make the text of a gateway harmless."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from percolator.client import Update
from percolator.model.decimals import MAX_SIZE
from percolator.model.kinds import (
    MAX_TIMESTAMP,
    Event,
    Funding,
    Liquidation,
    Price,
    Trade,
)
from percolator_cli.answers import MAX_NUMBER, Markets, Stats
from percolator_cli.doctor.diagnose import diagnose
from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts
from percolator_cli.loadtest.limits import Verdict
from percolator_cli.loadtest.measured import Measured, Refusal
from percolator_cli.loadtest.plan import Plan, Thresholds
from percolator_cli.loadtest.report import report
from percolator_cli.render import doctor, figures, limits, loadtest, page, stats, tail
from tests.cli.render.drawing import drawn

USD = st.floats(min_value=5e-324, max_value=1.7e308)
SIZE = st.integers(0, MAX_SIZE).map(str)
RATE = st.from_regex(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", fullmatch=True)
STAMP = st.integers(0, MAX_TIMESTAMP)
SEQ = st.integers(0, 2**53 - 1)
SIDE = st.sampled_from(["long", "short"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Price,
        price=USD,
        markPrice=st.none() | USD,
        indexPrice=st.none() | USD,
        openInterest=st.none() | SIZE,
        timestamp=STAMP,
    ),
    st.builds(Trade, side=SIDE, size=SIZE, price=USD, timestamp=STAMP),
    st.builds(
        Funding,
        rate=RATE,
        intervalHours=st.none() | USD,
        nextFundingTime=st.none() | STAMP,
        timestamp=STAMP,
    ),
    st.builds(Liquidation, side=SIDE, size=SIZE, price=USD, timestamp=STAMP),
)
COUNT = st.integers(0, MAX_NUMBER)
AMOUNT = st.floats(0, MAX_NUMBER) | COUNT
TEXT = st.text(max_size=40) | st.sampled_from(["[red]", "[/]", ":smile:", "市場" * 30, "\x1b[2J"])
COUNTS = st.dictionaries(TEXT, COUNT, max_size=3)
RATES = [f"{what}{way}PerSec" for what in ("messages", "bytes") for way in ("", "Sent", "Received")]
STATS = st.fixed_dictionaries(
    {"totalConnections": COUNT},
    optional={
        **dict.fromkeys([*RATES, "eventsPerSec", "uptimeSeconds"], AMOUNT),
        **dict.fromkeys(["connectionsPerSlab", "rejectedConnections", "closed"], COUNTS),
        **dict.fromkeys(["clientsBehind", "eventsRejected"], COUNT),
        "limits": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(["maxGlobalConnections", "maxConnectionsPerSlab"], COUNT)
        ),
        "nats": st.fixed_dictionaries(
            {"connected": st.booleans()}, optional={"streamSeq": COUNT, "lag": COUNT}
        ),
    },
)
NEWEST = st.fixed_dictionaries(
    {"timestamp": STAMP}, optional={"price": USD, "markPrice": USD, "rate": RATE}
)
MARKETS = st.dictionaries(
    TEXT, st.dictionaries(st.sampled_from(["price", "trade", "funding", "new"]), NEWEST), max_size=3
)
WIDTHS = st.integers(40, 200)


def assert_harmless(lines: list[str], width: int) -> None:
    """Check that each line fits, and holds only what can be seen."""
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


@given(EVENTS, SEQ, st.none() | SEQ, st.booleans())
def test_tail_shows_every_valid_event(
    event: Event,
    seq: int,
    prev: int | None,
    snapshot: bool,  # noqa: FBT001 - an argument of the property
) -> None:
    """As one line, and as one JSON object with the same values."""
    message = Update(f"{event.kind.prefix}:SOL", seq, prev, event, snapshot)
    line = tail.line(message).plain
    assert line.isprintable()
    assert len(line) < 200
    fields = json.loads(json.dumps(tail.fields(message)))
    assert fields["timestamp"] == event.timestamp


@given(USD)
def test_a_price_is_shown_with_its_first_six_digits(value: float) -> None:
    """However large or small it is."""
    text = figures.number(value)
    assert len(text) <= 31
    assert float(text.replace(",", "")) == pytest.approx(value, rel=1e-5, abs=1e-11)
    assert float(text.replace(",", "")) > 0


@given(STAMP)
def test_every_timestamp_has_a_clock(timestamp: int) -> None:
    """After the year 9999, the milliseconds themselves are shown."""
    assert figures.clock(timestamp).isprintable()


@pytest.mark.parametrize(
    "shown", [figures.count, figures.rate, figures.size, figures.span, figures.millis]
)
@given(number=AMOUNT)
def test_every_amount_is_shown(shown: Any, number: float) -> None:  # noqa: ANN401 - any of them
    """Each in a few columns."""
    assert 0 < len(shown(number)) <= 40


@given(STATS, MARKETS, WIDTHS, COUNT, st.booleans())
def test_stats_are_shown_whatever_a_gateway_answers(
    answer: dict[str, Any],
    markets: dict[str, Any],
    width: int,
    now_ms: int,
    graphic: bool,  # noqa: FBT001 - an argument of the property
) -> None:
    """Within the width, also of wide letters, and without mark-up."""
    found = Stats.model_validate_json(json.dumps(answer)).by_name
    states = Markets.model_validate_json(json.dumps({"markets": markets})).by_name["markets"]
    history = {"messagesPerSec": [found["messagesPerSec"], 5e-324]}
    status = stats.Status("http://x", found, states, now_ms, history=history)
    assert_harmless(drawn(stats.screen(status, width, rows=24, drawn=graphic), width), width)


@given(STATS, TEXT, WIDTHS)
def test_the_doctor_shows_whatever_a_gateway_and_nats_answer(
    answer: dict[str, Any], text: str, width: int
) -> None:
    """Also the names of its checks."""
    facts = Facts(
        GatewayFacts(
            "http://x",
            health={"status": text, "checks": {text: {"ok": False, "reason": text}}},
            stats=Stats.model_validate_json(json.dumps(answer)).by_name,
            socket_trouble=text,
        ),
        NatsFacts("nats://x", trouble=text),
        is_local=True,
        descriptors=None,
        descriptors_wanted=1,
    )
    assert_harmless(drawn(doctor.table(diagnose(facts), width, drawn=True), width), width)


@given(TEXT, TEXT, WIDTHS)
def test_a_load_test_shows_whatever_ended_its_connections(
    code: str, reason: str, width: int
) -> None:
    """In the terminal, in the HTML page, and in the verdict on a limit."""
    plan = Plan(1, ("SOL",), own=True, duration=1, rate=1, ramp=0)
    measured = Measured(plan)
    refusal = Refusal(code, reason)
    measured.refusals[refusal] = measured.ended[refusal] = 1
    data = report(measured, "http://x", {}, Thresholds())
    assert_harmless(drawn(loadtest.shown(data, width, drawn=True), width), width)
    assert all(line.isprintable() for line in page.page(data, "now").splitlines())
    verdict = Verdict("a limit", 5, held=False, seen=refusal.reason)
    assert_harmless(drawn(limits.line(verdict, width, drawn=True), width), width)
