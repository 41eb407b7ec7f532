"""Rejections as they come: from a gateway, which is asked again and again, or from NATS."""

import asyncio
import time
from collections.abc import Callable, Iterable

import nats.errors
from nats.aio.msg import Msg
from pydantic import ValidationError

from percolator.app.nats_source import nats_address
from percolator.client.address import GatewayAddress
from percolator.config.settings import Settings
from percolator.errors import GatewayError, NatsError, NatsUnfitError
from percolator.jetstream.connect import connect, hang_up
from percolator.model.channel import REJECTED_SUBJECT
from percolator_cli import gateway
from percolator_cli.answers import Rejection
from percolator_cli.process import print_error
from percolator_cli.render import figures

POLL_SECONDS = 0.3
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 4
REMEMBERED = 10_000
"""How many of the events shown last are remembered, so that their doubles are not shown."""

Show = Callable[[Rejection], None]


class Kept:
    """The rejections that a gateway keeps, read once each."""

    def __init__(self, at: GatewayAddress, token: str | None) -> None:
        self.at = at
        self._token = token
        self._run = ""
        self._seen = 0

    def newer(self) -> list[Rejection]:
        """Return what came since the last call, oldest first. Raises GatewayError."""
        answer = gateway.rejected(self.at, self._token, self._seen)
        if answer.run != self._run and self._seen:  # it has started again, and counts from 1
            self._seen = 0
            answer = gateway.rejected(self.at, self._token, 0)
        lost = answer.total - self._seen - len(answer.rejected)
        if self._seen and lost > 0:
            print_error(f"{figures.counted(lost, 'rejection')} came too fast to be shown")
        self._run, self._seen = answer.run, answer.total
        return answer.rejected


class Once:
    """Shows each rejection once: a gateway that starts again reports its backlog again."""

    def __init__(self, show: Show, known: Iterable[Rejection] = ()) -> None:
        self._show = show
        self._known: dict[tuple[str, int], None] = {}
        for each in known:
            self._is_new(each)

    def __call__(self, rejection: Rejection) -> None:
        """Show a rejection unless it is known."""
        if self._is_new(rejection):
            self._show(rejection)

    def _is_new(self, rejection: Rejection) -> bool:
        event = rejection.epoch, rejection.seq
        if event in self._known:
            return False
        self._known[event] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return True


class Troubles:
    """Prints on standard error why nothing can be read, once for each reason, and when it can."""

    def __init__(self, *, reading: bool) -> None:
        """`reading` is True if something was read already."""
        self._reading = reading
        self._last = ""

    def note(self, reason: str) -> None:
        """Print a reason, unless it is still the same."""
        if reason != self._last:
            print_error(f"{reason}; retrying")
        self._reading, self._last = False, reason

    def over(self, where: str) -> None:
        """Print that rejections can be read, unless that is known."""
        if not self._reading:
            print_error(f"connected to {where}, waiting for rejections")
        self._reading, self._last = True, ""


def follow_gateway(kept: Kept, show: Show, known: Iterable[Rejection], troubles: Troubles) -> None:
    """Show the rejections that come, without doubles of the known ones, until interrupted."""
    once = Once(show, known)
    while True:
        time.sleep(POLL_SECONDS)
        for each in once_it_answers(kept, troubles):
            once(each)


def once_it_answers(kept: Kept, troubles: Troubles) -> list[Rejection]:
    """Return what a gateway has that is newer, as soon as it answers."""
    while True:
        try:
            newer = kept.newer()
        except GatewayError as error:
            troubles.note(str(error))
            time.sleep(POLL_SECONDS)
        else:
            troubles.over(kept.at.http)
            return newer


async def follow_nats(settings: Settings, show: Show) -> None:
    """Show what gateways report on NATS, without doubles, until interrupted.

    Raises NatsUnfitError if the user may not read the reports.
    """
    once, troubles = Once(show), Troubles(reading=False)
    while True:
        try:
            await _read_nats(settings, once, troubles)
        except NatsUnfitError:
            raise
        except (NatsError, nats.errors.Error) as error:
            troubles.note(str(error))
        await asyncio.sleep(RETRY_SECONDS)


async def _read_nats(settings: Settings, show: Show, troubles: Troubles) -> None:
    """Show the reports that come until the connection ends. Raises NatsError."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    async def receive(message: Msg) -> None:
        try:
            show(Rejection.model_validate_json(message.data))
        except ValidationError:
            return  # no report: anyone may publish there if NATS has no accounts

    address = nats_address(settings)  # a server on this machine has a new token at each start
    client = await connect(address, name="percolator rejected", reconnect=False, closed=closed)
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client.watch(refused, REJECTED_SUBJECT)
    try:
        await client.subscribe(REJECTED_SUBJECT, cb=receive)
        for _ in range(2):  # the library's first ping may overtake the subscription
            await client.flush(ANSWER_SECONDS)
        if refused.done():
            raise NatsUnfitError(
                f"NATS does not let this user read {REJECTED_SUBJECT} ({client.said}): "
                "log in as a publisher, or allow it in nats-server.conf"
            )
        troubles.over(f"NATS at {address.shown}")
        await ended.wait()
    finally:
        await hang_up(client)
    troubles.note(f"NATS at {address.shown} has closed the connection")
