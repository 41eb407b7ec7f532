"""`percolator publish demo`: publishes the recorded market to JetStream."""

from percolator.app import recording
from percolator.config.settings import Settings
from percolator_cli.bars import demo_bar
from percolator_cli.publishing import publisher


class Demo:
    """Publishes the recorded market and counts its events."""

    def __init__(self) -> None:
        self.published = 0

    async def play(self, settings: Settings, *, speed: float, loop: bool, slabs: int) -> None:
        """Play it once, or until cancelled. Raises NatsError, possibly in an exception group."""
        with demo_bar(lambda: self.published) as notify:
            async with publisher(settings, name="percolator demo", on_trouble=notify) as to:

                async def publish(subject: str, payload: bytes, message_id: str) -> None:
                    await to.publish(subject, payload, message_id)
                    self.published += 1
                    notify(None)

                await recording.play(publish, speed=speed, loop=loop, slabs=slabs)
