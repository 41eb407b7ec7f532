"""Rejections: what is kept of an event that is not valid, and how it is shown."""

import json
from typing import Any

import pytest

from percolator.errors import EventError
from percolator.model import rejection
from percolator.model.rejection import (
    WAITING,
    KeptRejections,
    Rejection,
    WaitingRejections,
    reject,
)
from percolator.printable import printable

ERROR = EventError("invalid_price", "price: Field required")


def rejected(seq: int = 7, **given: Any) -> Rejection:  # noqa: ANN401 - as reject
    """Reject an event with the usual values, some of them overridden."""
    usual: dict[str, Any] = {
        "epoch": "e1",
        "subject": "percolator.trade.SOL",
        "message_id": "sig:SOL:0",
        "payload": b'{"side":"long"}',
        "time": 1_750_000_000_000,
    }
    return reject(given.pop("error", ERROR), seq=seq, **{**usual, **given})


def shown(of: Rejection) -> dict[str, Any]:
    """Read a rejection's JSON."""
    found: dict[str, Any] = json.loads(of.json)
    return found


def page(kept: KeptRejections, since: int = 0) -> tuple[int, list[int]]:
    """Read the total and the seqs of what is kept."""
    found = json.loads(kept.json(since))
    assert found["run"] == "r1"
    return found["total"], [each["seq"] for each in found["rejected"]]


def test_a_rejection_has_what_its_publisher_needs_to_find_the_event() -> None:
    """Where it is, what is wrong with it, and how it begins."""
    assert shown(rejected()) == {
        "seq": 7,
        "epoch": "e1",
        "subject": "percolator.trade.SOL",
        "reason": "invalid_price",
        "message": "price: Field required",
        "id": "sig:SOL:0",
        "payload": '{"side":"long"}',
        "time": 1_750_000_000_000,
    }


def test_an_event_that_was_accepted_all_the_same_says_so() -> None:
    """It was only flagged; any other rejection does not have the field."""
    assert shown(rejected(accepted=True))["accepted"] is True


def test_an_event_without_a_message_id_has_none() -> None:
    """Null, and not an empty string."""
    assert shown(rejected(message_id=""))["id"] is None


def test_what_a_publisher_wrote_is_fit_to_show() -> None:
    """Also if it is not UTF-8, and if it would control a terminal."""
    found = shown(
        rejected(subject="percolator.trade.\x1b[2J", message_id="\u202e", payload=b"\xff\n\x1b[31m")
    )
    assert found["subject"] == r"percolator.trade.\x1b[2J"
    assert found["id"] == r"\u202e"
    assert found["payload"] == r"\xff\n\x1b[31m"


def test_what_a_publisher_wrote_is_cut() -> None:
    """After a number of characters, not of bytes."""
    found = shown(
        rejected(
            subject="s" * 4_000,
            message_id="i" * 4_000,
            payload="€".encode() * 1_000_000,
            error=EventError("invalid_event", "m" * 4_000),
        )
    )
    assert found["subject"] == "s" * rejection.SUBJECT_CHARS + "..."
    assert found["id"] == "i" * rejection.ID_CHARS + "..."
    assert found["payload"] == "€" * rejection.PAYLOAD_CHARS + "..."
    assert found["message"] == "m" * rejection.MESSAGE_CHARS + "..."


def test_what_fits_is_not_cut() -> None:
    """Characters of four bytes, up to the limit, are shown as they are."""
    text = "\U0001f600" * rejection.PAYLOAD_CHARS
    assert shown(rejected(payload=text.encode()))["payload"] == text


@pytest.mark.parametrize("character", ["a", "é", "€", "\U0001f600"])
@pytest.mark.parametrize("before", ["", "a", "aa", "aaa"])
@pytest.mark.parametrize("after", [b"", b"\xff", "é".encode()[:1]])
def test_a_payload_is_shown_up_to_its_end_or_the_limit(
    character: str, before: str, after: bytes
) -> None:
    """However many bytes its characters have, and whatever comes after them."""
    for count in range(rejection.PAYLOAD_CHARS - 5, rejection.PAYLOAD_CHARS + 5):
        text = before + character * count
        found = shown(rejected(payload=text.encode() + after))["payload"]
        whole = text + after.decode("utf-8", "backslashreplace")
        assert found == printable(whole, rejection.PAYLOAD_CHARS), count


def test_a_rejection_holds_no_more_of_a_large_event_than_it_shows() -> None:
    """Hundreds are kept, and publishers choose their sizes."""
    of = rejected(subject="s" * 65_536, message_id="i" * 65_536, payload=b"x" * 1_000_000)
    assert len(of.subject) + len(of.id) + len(of.payload) < 1_500


def test_the_newest_rejections_are_kept_and_all_are_numbered() -> None:
    """Each that is over the limit takes the place of the oldest."""
    kept = KeptRejections("r1")
    assert page(kept) == (0, [])
    for seq in range(1, rejection.KEPT + 11):
        kept.add(rejected(seq))
    total, seqs = page(kept)
    assert total == rejection.KEPT + 10
    assert seqs == list(range(11, rejection.KEPT + 11))


def test_what_comes_after_a_number_is_shown_alone() -> None:
    """A watcher asks with the total that it saw last."""
    kept = KeptRejections("r1")
    for seq in (10, 20, 30):
        kept.add(rejected(seq))
    assert page(kept, 1) == (3, [20, 30])
    assert page(kept, 3) == (3, [])
    assert page(kept, 99) == (3, [])


def drained(waiting: WaitingRejections) -> list[int]:
    """Read the seqs of all that waits, in the order of publishing."""
    return [waiting.next().seq for _ in range(len(waiting))]


def test_subjects_take_turns_to_be_published() -> None:
    """Each in its own order; one without any left waits for no turn."""
    waiting = WaitingRejections()
    for seq, subject in enumerate("aaabcc"):
        waiting.add(rejected(seq, subject=subject))
    assert drained(waiting) == [0, 3, 4, 1, 5, 2]
    assert len(waiting) == 0


def test_a_flood_on_one_subject_drops_its_own_rejections() -> None:
    """The oldest of them; those of other subjects are published, before or during the flood."""
    waiting = WaitingRejections()
    waiting.add(rejected(1, subject="b"))
    for seq in range(2, WAITING + 12):
        waiting.add(rejected(seq, subject="flood"))
    waiting.add(rejected(5_000, subject="c"))
    assert len(waiting) == WAITING
    found = drained(waiting)
    assert {1, 5_000} <= set(found[:3])
    assert sorted(found)[1:-1] == list(range(14, WAITING + 12))


def test_a_flood_on_many_subjects_is_bounded() -> None:
    """A subject that waits already keeps its newest."""
    waiting = WaitingRejections()
    for seq in range(2 * WAITING):
        waiting.add(rejected(seq, subject=f"flood.{seq}"))
    waiting.add(rejected(5_000, subject="flood.0"))
    assert sorted(drained(waiting)) == [*range(1, WAITING), 5_000]
