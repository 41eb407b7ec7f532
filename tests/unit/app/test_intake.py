"""The intake: what is valid goes to the hub; what is not is counted, reported and logged."""

import io
import logging

import pytest

from percolator import logs
from percolator.app.intake import Intake
from percolator.fanout.hub import Start
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness

PRICE = b'{"price":1.5,"timestamp":5}'
TRADE = b'{"side":"long","size":"1","price":1.5,"timestamp":5}'


class IntakeHarness:
    """An intake, the hub behind it, and what it reported."""

    def __init__(self) -> None:
        self.harness = HubHarness()
        self.reports: list[tuple[int, str, str]] = []
        self.intake = Intake(
            self.harness.book,
            self.harness.stats,
            lambda *rejection: self.reports.append(rejection),
        )
        self.intake.begin("e2", 10, first_seq=3, complete=True)

    @property
    def state(self) -> dict[str, int]:
        """The seq of the newest event of each channel."""
        logs = self.harness.hub.book.logs.items()
        return {channel.name: log.latest.seq for channel, log in logs if log.latest is not None}


@pytest.fixture
def harness() -> IntakeHarness:
    """One that stands at seq 10."""
    return IntakeHarness()


def test_where_reading_begins_is_passed_on(harness: IntakeHarness) -> None:
    """Epoch, seq, and the oldest seq that the stream has."""
    hub = harness.harness.hub
    assert (hub.book.epoch, hub.book.seq, hub.book.first_seq) == ("e2", 10, 3)


def test_a_valid_event_goes_to_its_channel_and_is_counted(harness: IntakeHarness) -> None:
    """By kind."""
    harness.intake.take(11, "percolator.price.SOL", PRICE)
    harness.intake.take(12, "percolator.trade.SOL", TRADE)
    harness.intake.take(13, "percolator.trade.SOL", TRADE)
    assert harness.state == {"price:SOL": 11, "trades:SOL": 13}
    assert harness.harness.stats.events == {"price": 1, "trade": 2}
    assert harness.reports == []


def test_an_invalid_event_is_counted_and_reported_and_stops_nothing(harness: IntakeHarness) -> None:
    """By reason; the hub stands after it."""
    harness.intake.take(11, "percolator.price.SOL", b'{"price":-1,"timestamp":5}')
    harness.intake.take(12, "percolator.price.S.L", PRICE)
    assert harness.harness.hub.book.seq == 12
    harness.intake.take(13, "percolator.price.SOL", PRICE)
    assert harness.state == {"price:SOL": 13}
    assert harness.harness.stats.rejected == {"invalid_price": 1, "invalid_subject": 1}
    assert harness.reports == [
        (11, "percolator.price.SOL", "invalid_price"),
        (12, "percolator.price.S.L", "invalid_subject"),
    ]
    assert harness.harness.stats.events == {"price": 1}


def test_a_head_is_state_and_no_event(harness: IntakeHarness) -> None:
    """It was counted when it was read first; an invalid one was reported then."""
    harness.intake.seed(4, "percolator.trade.SOL", TRADE)
    harness.intake.seed(5, "percolator.price.SOL", b"{")
    assert harness.state == {"trades:SOL": 4}
    assert (harness.harness.stats.events, harness.harness.stats.rejected, harness.reports) == (
        {},
        {},
        [],
    )


def test_what_is_lost_is_told_where_it_may_be_missed(harness: IntakeHarness) -> None:
    """To the clients of the channels in question, and to no others."""
    client = Client(harness.harness.hub)
    for name in ("trades:SOL", "trades:BTC", "funding:SOL", "price:SOL"):
        harness.harness.hub.subscribe(client.cursor, channel(name), Start())
    harness.intake.record_gap(
        20, frozenset({"percolator.trade.SOL", "percolator.price.SOL", "junk"})
    )
    harness.harness.flush()
    assert client.seqs == ["gap"]
    assert harness.harness.hub.book.seq == 19


def test_a_loss_that_is_told_late_does_not_turn_the_hub_back(harness: IntakeHarness) -> None:
    """The channel's next event came after those of others."""
    harness.intake.take(30, "percolator.trade.BTC", TRADE)
    harness.intake.record_gap(20, frozenset({"percolator.trade.SOL"}))
    assert harness.harness.hub.book.seq == 30


def test_after_a_hole_nothing_is_taken_for_known_before_it(harness: IntakeHarness) -> None:
    """Also of a channel that nobody has heard of yet."""
    harness.intake.record_gap(20, frozenset())
    harness.intake.take(20, "percolator.trade.SOL", TRADE)
    log = harness.harness.hub.book.logs[channel("trades:SOL")]
    assert log.latest is not None
    assert log.latest.prev is None


def test_it_says_what_it_has_had_last_of_each_channel_that_loses_nothing(
    harness: IntakeHarness,
) -> None:
    """By subject; 0 where nothing is known."""
    client = Client(harness.harness.hub)
    harness.harness.hub.subscribe(client.cursor, channel("funding:SOL"), Start())
    harness.intake.take(11, "percolator.trade.SOL", TRADE)
    harness.intake.take(12, "percolator.price.SOL", PRICE)
    assert harness.intake.last_seqs() == {"percolator.trade.SOL": 11, "percolator.funding.SOL": 0}


def test_a_rejection_is_logged_with_the_payload_cut(
    harness: IntakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Seq, subject and why, in one line."""
    payload = b'{\n"price":"' + b"x" * 5_000 + b'"}'
    harness.intake.take(11, "percolator.price.SOL", payload)
    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelno == logging.WARNING
    assert "event 11 on percolator.price.SOL" in text
    assert "price: " in text
    assert "\n" not in text
    assert len(text) < 300


def test_a_flood_of_rejections_leaves_the_log_short(
    harness: IntakeHarness, lines: io.StringIO
) -> None:
    """The one limit on log lines holds here too, and every rejection is counted."""
    logs.configure("info", "text", lines)
    for seq in range(11, 1_011):
        harness.intake.take(seq, "percolator.price.SOL", b"{")
    assert len(lines.getvalue().splitlines()) == logs.LINE_BURST
    assert harness.harness.stats.rejected == {"invalid_json": 1_000}


def test_an_event_of_an_unknown_kind_is_counted_and_is_no_fault(harness: IntakeHarness) -> None:
    """A newer gateway beside this one may publish it."""
    harness.intake.take(11, "percolator.candle.SOL", b"{}")
    harness.intake.seed(3, "percolator.candle.SOL", b"{}")
    harness.intake.take(12, "percolator.price.SOL", PRICE)
    stats = harness.harness.stats
    assert (stats.unknown_subjects, stats.rejected, harness.reports) == (1, {}, [])
    assert harness.state == {"price:SOL": 12}
    assert harness.harness.book.seq == 12
