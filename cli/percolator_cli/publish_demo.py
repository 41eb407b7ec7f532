"""`percolator publish demo`: the recorded market, through JetStream."""

from percolator import tape
from percolator.settings import Settings
from percolator_cli.bars import demo_bar
from percolator_cli.publishing import publisher


async def play(settings: Settings, *, speed: float, loop: bool, slabs: int) -> int:
    """Play it, and give the number of events. Raises NatsError, also in a group."""
    published = 0
    async with publisher(settings, name="percolator demo", reconnect=True) as to:
        with demo_bar(lambda: published) as tell:

            async def publish(subject: str, payload: bytes) -> None:
                nonlocal published
                await to.publish(subject, payload)
                published += 1
                tell(None)

            return await tape.play(publish, speed=speed, loop=loop, slabs=slabs)
