"""Rejections: which events were not valid, and why, as publishers and operators are shown it.

What a publisher has written is cut and kept as it came, and is made fit to show only when it is
asked for: a flood of invalid events costs an append each.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from pydantic_core import to_json

from percolator.errors import EventError
from percolator.printable import printable

KEPT = 500
"""Rejections that a gateway keeps; a newer one replaces the oldest."""
WAITING = 1_000
"""Rejections that wait to be published at most."""
SEARCHED = 100
"""Subjects among which the one with the most is looked for; with more, a new subject is dropped."""
PAYLOAD_CHARS = 200
SUBJECT_CHARS = 256
MESSAGE_CHARS = 500
ID_CHARS = 128

_UTF8_BYTES = 4
"""The most bytes that a character takes in UTF-8."""


@dataclass(frozen=True)
class Rejection:
    """One event that was not valid, or that was only flagged: then it was `accepted`.

    An event is identified by `epoch` and `seq`, so that the same rejection from two gateways, or
    from one that has started again, can be told from another. `time` is when the event was stored,
    in Unix milliseconds.
    """

    epoch: str
    seq: int
    subject: str
    reason: str
    message: str
    id: str
    """What the publisher set as Nats-Msg-Id; empty if it set none."""
    payload: bytes
    time: int
    accepted: bool = False

    @cached_property
    def json(self) -> bytes:
        """The rejection as JSON, with all text fit to show."""
        fields = {
            "seq": self.seq,
            "epoch": self.epoch,
            "subject": printable(self.subject, SUBJECT_CHARS),
            "reason": self.reason,
            "message": printable(self.message, MESSAGE_CHARS),
            "id": printable(self.id, ID_CHARS) or None,
            "payload": printable(_text(self.payload), PAYLOAD_CHARS),
            "time": self.time,
        }
        return to_json(fields | ({"accepted": True} if self.accepted else {}))


def reject(
    error: EventError,
    *,
    epoch: str,
    seq: int,
    subject: str,
    message_id: str,
    payload: bytes,
    time: int,
    accepted: bool = False,
) -> Rejection:
    """Return the rejection of an event, with no more of it than is shown."""
    return Rejection(
        epoch=epoch,
        seq=seq,
        subject=subject[: SUBJECT_CHARS + 1],
        reason=error.reason,
        message=str(error)[: MESSAGE_CHARS + 1],
        id=message_id[: ID_CHARS + 1],
        payload=payload[: (PAYLOAD_CHARS + 1) * _UTF8_BYTES],
        time=time,
        accepted=accepted,
    )


def _text(payload: bytes) -> str:
    r"""Decode as much of a payload as is shown; bytes that are not UTF-8 appear as `\xff`.

    Few of them are decoded, since each takes as long as a hundred others.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        valid = payload[: error.start].decode()
        rest = payload[error.start : error.start + max(PAYLOAD_CHARS + 1 - len(valid), 0)]
        return valid + rest.decode("utf-8", "backslashreplace")


class KeptRejections:
    """The newest rejections of one run of a gateway, numbered from 1."""

    def __init__(self, run: str) -> None:
        """`run` identifies the run: the numbers of two runs have nothing to do with each other."""
        self.total = 0
        """The number of the newest."""
        self._run = run
        self._kept: deque[Rejection] = deque(maxlen=KEPT)

    def add(self, rejection: Rejection) -> None:
        """Keep a rejection, in place of the oldest if there are KEPT."""
        self.total += 1
        self._kept.append(rejection)

    def json(self, since: int = 0) -> bytes:
        """Return the rejections after number `since` that are kept, oldest first, as JSON."""
        newer = min(max(self.total - since, 0), len(self._kept))
        head = b'{"run":%b,"total":%d,"rejected":[' % (to_json(self._run), self.total)
        kept = islice(self._kept, len(self._kept) - newer, None)
        return head + b",".join(rejection.json for rejection in kept) + b"]}\n"


class WaitingRejections:
    """Rejections that wait to be published, up to WAITING; the subjects take turns.

    So the rejections of a flood on a few subjects are dropped, and not those of others.
    """

    def __init__(self) -> None:
        self._count = 0
        self._by_subject: dict[str, deque[Rejection]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, rejection: Rejection) -> None:
        """Add a rejection.

        If all places are taken, one is dropped: of the same subject, or of the one with the most.
        """
        subject = rejection.subject
        if self._count >= WAITING:
            if subject in self._by_subject:
                self._pop(subject)
            elif len(self._by_subject) < SEARCHED:
                self._pop(max(self._by_subject, key=lambda other: len(self._by_subject[other])))
            else:
                return
        self._by_subject.setdefault(subject, deque()).append(rejection)
        self._count += 1

    def next(self) -> Rejection:
        """Remove and return the oldest of the subject whose turn it is; one must wait."""
        return self._pop(next(iter(self._by_subject)))

    def _pop(self, subject: str) -> Rejection:
        queue = self._by_subject.pop(subject)
        rejection = queue.popleft()
        if queue:
            self._by_subject[subject] = queue  # its next turn is after that of all others
        self._count -= 1
        return rejection
