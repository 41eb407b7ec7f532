"""The inbox against everything that was put into it: nothing is lost or doubled without a gap."""

from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.client import inbox as module
from percolator.client.inbox import Inbox
from percolator.client.messages import Gap, Message, Update
from tests.unit.client.arrivals import arrival, trade

LENGTH = 5
STEPS = st.lists(st.sampled_from(["take", "A", "B", "C"]), max_size=80)


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """Keep five messages, and not 10,000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LENGTH", LENGTH)
        yield


def run(steps: list[str], owner: str | None) -> tuple[dict[str, list[int]], list[Message]]:
    """Put events of markets, and take now and then; return what was put, and what was taken."""
    inbox = Inbox()
    put: dict[str, list[int]] = defaultdict(list)
    taken: list[Message] = []
    for seq, step in enumerate(steps, 1):
        if step == "take":
            taken += [found for found in (inbox.take(),) if found is not None]
            continue
        prev = (put[f"trades:{step}"] or [0])[-1]
        put[f"trades:{step}"].append(seq)
        inbox.put(arrival(trade(seq, prev, step), *([owner] if owner else [])))
        assert len(inbox._queue) <= LENGTH
    while (message := inbox.take()) is not None:
        taken.append(message)
    return put, taken


@given(STEPS, st.sampled_from([None, "trades:*"]))
def test_every_event_is_handed_over_once_or_lies_in_a_gap(
    steps: list[str], owner: str | None
) -> None:
    """Never both; and each channel comes in order."""
    put, taken = run(steps, owner)
    for channel, seqs in put.items():
        position, handed, covered = 0, [], []
        for message in taken:
            if isinstance(message, Gap) and message.channel in (channel, owner):
                assert message.after >= (position if message.channel == channel else 0)
                covered += [s for s in seqs if message.after < s < message.before]
                position = max(position, message.before - 1)
            elif isinstance(message, Update) and message.channel == channel:
                assert message.seq > position
                handed.append(message.seq)
                position = message.seq
        assert sorted(handed + covered) == seqs
