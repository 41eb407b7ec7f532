"""The intake: valid events go to the book; invalid ones are counted, reported and logged."""

import io
import logging

import pytest

from percolator import logs
from percolator.app import intake
from percolator.app.intake import Intake
from percolator.errors import EventError
from percolator.fanout.price_fold import PriceRule
from percolator.fanout.reader import Start
from percolator.jetstream.direct import Stored
from percolator.jetstream.gaps import Losses, SequenceGap, with_gaps
from percolator.model.times import MAX_AHEAD_MS
from tests.channels import STORED_MS, channel, stored
from tests.unit.fanout.harness import Client, HubHarness

PRICE = b'{"price":1.5,"timestamp":1234567890123}'
TRADE = b'{"side":"long","size":"1","price":1.5,"timestamp":1234567890123}'


class IntakeHarness:
    """An intake, the hub behind it, and the rejections that it reported."""

    def __init__(self, rule: PriceRule | None = None) -> None:
        self.harness = HubHarness(price_rule=rule)
        self.reports: list[tuple[int, str, str]] = []
        self.accepted: list[int] = []
        """The seqs of those that were accepted all the same."""
        self.intake = Intake(
            self.harness.book,
            self.harness.stats,
            self._report,
        )
        self.intake.begin("e2", 10, first_seq=3, complete=True)

    def _report(self, stored: Stored, error: EventError, *, accepted: bool = False) -> None:
        self.reports.append((stored.seq, stored.subject, error.reason))
        self.accepted += [stored.seq] if accepted else []

    @property
    def state(self) -> dict[str, int]:
        """The seq of the newest event of each channel."""
        logs = self.harness.hub.book.logs.items()
        return {channel.name: log.latest.seq for channel, log in logs if log.latest is not None}


@pytest.fixture
def harness() -> IntakeHarness:
    """Return an intake that has read up to seq 10."""
    return IntakeHarness()


def test_the_intake_passes_on_where_reading_begins(harness: IntakeHarness) -> None:
    """Epoch, seq, and the oldest seq that the stream has."""
    hub = harness.harness.hub
    assert (hub.book.epoch, hub.book.seq, hub.book.first_seq) == ("e2", 10, 3)


def test_a_valid_event_goes_to_its_channel_and_is_counted(harness: IntakeHarness) -> None:
    """By kind."""
    harness.intake.take(stored(11, "percolator.price.SOL", PRICE))
    harness.intake.take(stored(12, "percolator.trade.SOL", TRADE))
    harness.intake.take(stored(13, "percolator.trade.SOL", TRADE))
    assert harness.state == {"price:SOL": 11, "trades:SOL": 13}
    assert harness.harness.stats.events == {"price": 1, "trade": 2}
    assert harness.reports == []


def test_an_outdated_price_is_counted_and_not_reported(harness: IntakeHarness) -> None:
    """It is valid; two publishers for one market send many of them."""
    for seq, lag in ((11, 7), (12, 8), (13, 7)):
        payload = b'{"price":1.5,"timestamp":%d}' % (STORED_MS - lag)
        harness.intake.take(stored(seq, "percolator.price.SOL", payload))
    assert harness.state == {"price:SOL": 13}
    assert harness.harness.stats.outdated == 1
    assert harness.reports == []


def take_prices(harness: IntakeHarness, *prices: float, step: int = 1) -> None:
    """Pass on a price per `step` milliseconds, from seq 11 on."""
    for number, price in enumerate(prices):
        now = STORED_MS + number * step
        payload = b'{"price":%r,"timestamp":%d}' % (price, now)
        event = Stored(11 + number, "percolator.price.SOL", payload, now * 1_000_000)
        harness.intake.take(event)


def test_a_jump_is_counted_and_reported_and_accepted(caplog: pytest.LogCaptureFixture) -> None:
    """The sentence names the mistake."""
    harness = IntakeHarness(PriceRule(10))
    take_prices(harness, 150.0, 150e6)
    stats = harness.harness.stats
    assert (harness.state, stats.events) == ({"price:SOL": 12}, {"price": 2})
    assert (stats.price_jumps, stats.rejected) == (1, {})
    assert harness.reports == [(12, "percolator.price.SOL", "price_jump")]
    assert harness.accepted == [12]
    (line,) = caplog.messages
    assert line == (
        "event 12 on percolator.price.SOL accepted: 150000000 is 1,000,000 times the last price, "
        "150: it looks like millionths; send USD"
    )


def test_the_jumps_of_a_market_are_logged_once_per_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time of the stream; each is reported."""
    monkeypatch.setattr(intake, "MAX_JUMPED", 1)
    harness = IntakeHarness(PriceRule(10))
    take_prices(harness, *[150.0, 150e6] * 4, step=15_000)
    assert [message.split()[1] for message in caplog.messages] == ["12", "17"]
    assert len(harness.accepted) == 7
    other = Stored(30, "percolator.price.BTC", b'{"price":1,"timestamp":1234567890123}', 1)
    jump = other._replace(seq=31, payload=b'{"price":100,"timestamp":1234567890123}')
    for event in (other, jump):
        harness.intake.take(event._replace(time=STORED_MS * 1_000_000))
    assert len(caplog.messages) == 3


def test_a_refused_jump_is_rejected(caplog: pytest.LogCaptureFixture) -> None:
    """Like an event that is not valid."""
    harness = IntakeHarness(PriceRule(10, refuse_jumps=True))
    take_prices(harness, 150.0, 150e6, 151.0)
    stats = harness.harness.stats
    assert (harness.state, stats.events) == ({"price:SOL": 13}, {"price": 2})
    assert (stats.price_jumps, stats.rejected) == (1, {"price_jump": 1})
    assert harness.reports == [(12, "percolator.price.SOL", "price_jump")]
    assert harness.accepted == []
    assert "rejected: 150000000 is 1,000,000 times the last price" in caplog.text


def test_an_invalid_event_is_counted_and_reported_and_stops_nothing(harness: IntakeHarness) -> None:
    """By reason; the book skips its seq."""
    harness.intake.take(stored(11, "percolator.price.SOL", b'{"price":-1,"timestamp":5}'))
    harness.intake.take(stored(12, "percolator.price.S.L", PRICE))
    assert harness.harness.hub.book.seq == 12
    harness.intake.take(stored(13, "percolator.price.SOL", PRICE))
    assert harness.state == {"price:SOL": 13}
    assert harness.harness.stats.rejected == {"invalid_price": 1, "invalid_subject": 1}
    assert harness.reports == [
        (11, "percolator.price.SOL", "invalid_price"),
        (12, "percolator.price.S.L", "invalid_subject"),
    ]
    assert harness.harness.stats.events == {"price": 1}


def test_a_time_is_judged_by_when_the_event_was_stored(harness: IntakeHarness) -> None:
    """So a gateway that reads the stream later decides the same."""
    payload = b'{"price":1.5,"timestamp":%d}' % (STORED_MS + MAX_AHEAD_MS + 1)
    early = stored(11, "percolator.price.SOL", payload)
    harness.intake.take(early)
    harness.intake.seed(early._replace(seq=5))
    assert harness.state == {}
    assert harness.reports == [(11, "percolator.price.SOL", "invalid_timestamp")]
    harness.intake.take(early._replace(seq=12, time=early.time + 1_000_000))
    assert harness.state == {"price:SOL": 12}


def test_a_seed_is_state_and_is_not_counted(harness: IntakeHarness) -> None:
    """It was counted when it was first read; an invalid one was reported then."""
    harness.intake.seed(stored(4, "percolator.trade.SOL", TRADE))
    harness.intake.seed(stored(5, "percolator.price.SOL", b"{"))
    assert harness.state == {"trades:SOL": 4}
    assert (harness.harness.stats.events, harness.harness.stats.rejected, harness.reports) == (
        {},
        {},
        [],
    )


def test_a_loss_is_announced_on_the_channels_that_may_have_lost_events(
    harness: IntakeHarness,
) -> None:
    """Clients of other channels get nothing."""
    client = Client(harness.harness.hub)
    for name in ("trades:SOL", "trades:BTC", "funding:SOL", "price:SOL"):
        harness.harness.hub.subscribe(client.cursor, channel(name), Start())
    harness.intake.record_gap(
        20, frozenset({"percolator.trade.SOL", "percolator.price.SOL", "junk"})
    )
    harness.harness.flush()
    assert client.seqs == ["gap"]
    assert harness.harness.hub.book.seq == 19


def test_a_loss_that_is_found_late_does_not_move_the_book_back(harness: IntakeHarness) -> None:
    """The channel's next event came after events of other channels."""
    harness.intake.take(stored(30, "percolator.trade.BTC", TRADE))
    harness.intake.record_gap(20, frozenset({"percolator.trade.SOL"}))
    assert harness.harness.hub.book.seq == 30


def test_a_wildcard_gets_one_gap_per_loss_before_the_next_event_of_any_market(
    harness: IntakeHarness,
) -> None:
    """Also if the market that lost events has its next one only after those of others."""
    events = [
        stored(21, "percolator.price.A", PRICE),
        stored(22, "percolator.trade.QUIET", TRADE),
        stored(23, "percolator.trade.B", TRADE),
        stored(24, "percolator.trade.A", TRADE),
    ]
    client = Client(harness.harness.hub)
    for name in ("trades:*", "funding:*"):
        harness.harness.hub.subscribe(client.cursor, channel(name), Start())
    first_held: dict[str, int | None] = {"percolator.trade.A": 24, "percolator.trade.B": 23}
    losses = Losses(first_held, explained=range(11, 21))
    for step in with_gaps(events, 10, losses):
        if isinstance(step, SequenceGap):
            harness.intake.record_gap(step.before, step.subjects)
        else:
            harness.intake.take(step)
    harness.harness.flush()
    gap, *others = client.got
    assert gap == {"type": "gap", "channel": "trades:*", "from": 0, "to": 21}
    assert [each.get("seq") for each in others] == [22, 23, 24]


def test_after_a_loss_the_prev_of_a_new_channel_is_unknown(harness: IntakeHarness) -> None:
    """Its events before the loss may be among the lost ones."""
    harness.intake.record_gap(20, frozenset())
    harness.intake.take(stored(20, "percolator.trade.SOL", TRADE))
    log = harness.harness.hub.book.logs[channel("trades:SOL")]
    assert log.latest is not None
    assert log.latest.prev is None


def test_the_intake_reports_the_newest_seq_of_each_lossless_subject(
    harness: IntakeHarness,
) -> None:
    """0 if none is known."""
    client = Client(harness.harness.hub)
    harness.harness.hub.subscribe(client.cursor, channel("funding:SOL"), Start())
    harness.intake.take(stored(11, "percolator.trade.SOL", TRADE))
    harness.intake.take(stored(12, "percolator.price.SOL", PRICE))
    assert harness.intake.last_seqs() == {"percolator.trade.SOL": 11, "percolator.funding.SOL": 0}


def test_a_rejection_is_logged_with_the_payload_cut(
    harness: IntakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Seq, subject and reason, on one line."""
    payload = b'{\n"price":"' + b"x" * 5_000 + b'"}'
    harness.intake.take(stored(11, "percolator.price.SOL", payload))
    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelno == logging.WARNING
    assert "event 11 on percolator.price.SOL" in text
    assert "price must be a number" in text
    assert "\n" not in text
    assert len(text) < 300


def test_the_log_stays_short_in_a_flood_of_rejections(
    harness: IntakeHarness, lines: io.StringIO
) -> None:
    """The one limit on log lines holds here too, and every rejection is counted."""
    logs.configure("info", "text", lines)
    for seq in range(11, 1_011):
        harness.intake.take(stored(seq, "percolator.price.SOL", b"{"))
    assert len(lines.getvalue().splitlines()) == logs.LINE_BURST
    assert harness.harness.stats.rejected == {"invalid_json": 1_000}


def test_an_event_on_a_mistaken_subject_is_counted_as_unknown_and_reported(
    harness: IntakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not counted as rejected: a newer version may know the kind."""
    harness.intake.take(stored(11, "percolator.trades.SOL", TRADE))
    stats = harness.harness.stats
    assert (stats.unknown_subjects, stats.rejected) == (1, {})
    assert harness.reports == [(11, "percolator.trades.SOL", "unknown_subject")]
    assert "no kind is named trades: publish on percolator.trade.SOL" in caplog.text
    assert harness.harness.book.seq == 11


def test_an_event_of_an_unknown_kind_is_counted_and_not_rejected(harness: IntakeHarness) -> None:
    """A newer version may publish it."""
    harness.intake.take(stored(11, "percolator.candle.SOL", b"{}"))
    harness.intake.seed(stored(3, "percolator.candle.SOL", b"{}"))
    harness.intake.take(stored(12, "percolator.price.SOL", PRICE))
    stats = harness.harness.stats
    assert (stats.unknown_subjects, stats.rejected, harness.reports) == (1, {}, [])
    assert harness.state == {"price:SOL": 12}
    assert harness.harness.book.seq == 12
