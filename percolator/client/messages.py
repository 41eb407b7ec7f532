"""Messages: what a program that follows channels gets, and the state of its connection."""

from dataclasses import dataclass

from percolator.model.kinds import Event


@dataclass(frozen=True, slots=True)
class Update:
    """One event. `prev` is the seq of the channel's event before it; None for prices.

    `channel` is the market's own, also if it is followed through a wildcard. `seq` and `prev` are
    of the stream's incarnation `epoch`. A `snapshot` is from before the subscription.
    """

    channel: str
    seq: int
    prev: int | None
    event: Event
    snapshot: bool
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a channel after one seq and before another are lost.

    `epoch` is set if the stream was replaced: `after` is of the old one, and later seqs are of the
    new one. `announced` is False if the gateway sent no gap although it should have. A gap of a
    wildcard channel is one of each market that is followed through it.
    """

    channel: str
    after: int
    before: int
    epoch: str | None = None
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway refuses a channel. It is asked again, with growing waits.

    `code` is an error code of the protocol. A channel is reported once, until it is accepted or
    refused for another reason.
    """

    channel: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class State:
    """The state of the connection, and since when, in Unix milliseconds.

    - `connecting`: an attempt is under way, or not every channel is subscribed yet.
    - `live`: every channel is subscribed.
    - `stale`: connected, but events may be missing since then: the gateway no longer hears from
      NATS, or it no longer answers.
    - `waiting`: not connected, for this `reason`; the next attempt is in `delay` seconds.
    - `closed`: the program has left; or the gateway has refused for good, for this `reason`.
    """

    name: str
    reason: str = ""
    delay: float = 0.0
    since: int = 0


Message = Update | Gap | Refused
