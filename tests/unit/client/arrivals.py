"""Events as a gateway delivers them, and as a program gets them, in short forms."""

from percolator.client.bookmark import Position
from percolator.client.channels import Arrival
from percolator.client.messages import Gap, Update
from percolator.model.kinds import Price, Trade
from percolator.model.server_messages import Delivery


def trade(seq: int, prev: int | None = None, slab: str = "SOL") -> Delivery:
    """Return a trade as it is delivered."""
    event = Trade(side="long", size=str(seq), price=1.5, timestamp=1, slab=slab)
    return Delivery(f"trades:{slab}", seq, prev, snapshot=False, event=event)


def price(seq: int, slab: str = "SOL") -> Delivery:
    """Return a price as it is delivered: it is the seq."""
    event = Price(price=seq, timestamp=1, slab=slab)
    return Delivery(f"price:{slab}", seq, None, snapshot=False, event=event)


def arrival(delivery: Delivery, *owners: str) -> Arrival:
    """Return an event that waits for the program, for its own channel or for `owners`."""
    update = Update(
        delivery.channel, delivery.seq, delivery.prev, delivery.event, delivery.snapshot, "e"
    )
    names = owners or (delivery.channel,)
    return Arrival(update, dict.fromkeys(names, Position("e", delivery.seq - 1)))


def gap(name: str, after: int, before: int, epoch: str | None = None) -> Arrival:
    """Return a gap that waits for the program."""
    return Arrival(Gap(name, after, before, epoch), {name: Position("e", after)})


def seqs(messages: list[Gap | Update]) -> list[int | Gap]:
    """Return the seqs of events, and gaps as they are."""
    return [each.seq if isinstance(each, Update) else each for each in messages]
