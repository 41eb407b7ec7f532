"""`percolator publish demo`: the recorded market, through JetStream."""

from percolator.app import recording
from percolator.config.settings import Settings
from percolator_cli.bars import demo_bar
from percolator_cli.publishing import publisher


class Demo:
    """Plays it, and counts."""

    def __init__(self) -> None:
        self.published = 0

    async def play(self, settings: Settings, *, speed: float, loop: bool, slabs: int) -> None:
        """Play it, once or until it is cancelled. Raises NatsError, also in a group."""
        async with publisher(settings, name="percolator demo", reconnect=True) as to:
            with demo_bar(lambda: self.published) as tell:

                async def publish(subject: str, payload: bytes) -> None:
                    await to.publish(subject, payload)
                    self.published += 1
                    tell(None)

                await recording.play(publish, speed=speed, loop=loop, slabs=slabs)
