"""Front ends of the server that this one replaces: they stay connected, and show every market.

The gateway is a process of its own with its default limits. A session is: events, a silence of
125 s, events, a gateway that is killed and started again on its port, events.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.conftest import OpenPage
from tests.browser.frontends.front_ends import (
    MAX_SILENCE_MS,
    Chart,
    FrontEnd,
    HookPage,
    LegacyPage,
    SharedSocket,
)
from tests.browser.process import GatewayProcess
from tests.cli.program import Program, get

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE_MS = 125_000
SCALE = 1 / 25
"""What the times of a fast session are multiplied by."""
HEARTBEAT_SECONDS = 15 * SCALE
CLOSED_FOR_A_FAULT = {"1008", "1009", "1011"}
WHILE_RESTARTING = {1006, 1013}

StartProcess = Callable[..., Awaitable[GatewayProcess]]


@pytest_asyncio.fixture(loop_scope="session")
async def start_process(
    tmp_path: Path, nats_url: str, stream_name: str
) -> AsyncIterator[StartProcess]:
    """Start a gateway in its own process, with default settings but for those that are given."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> GatewayProcess:
            program = Program(tmp_path, nats_url=nats_url, stream=stream_name, **settings)
            process = GatewayProcess(program, nats_url, stream_name)
            await stack.enter_async_context(process)
            await process.start()
            return process

        yield start


class Session:
    """Front ends of one gateway, and their times multiplied by `scale`."""

    def __init__(self, process: GatewayProcess, scale: float, *front_ends: FrontEnd) -> None:
        self._process = process
        self._scale = scale
        self._front_ends = front_ends

    async def run(self, open_page: OpenPage) -> None:
        """Run the session: only the restart ends connections, and every market is shown."""
        await self._publish(0)
        for each in self._front_ends:
            await each.open(open_page, self._process, self._scale)
        await self._show(0, live=False)
        await self._publish(1)
        await self._show(1)
        for each in self._front_ends:
            await each.is_quiet_for(SILENCE_MS * self._scale)
        await self._publish(2)
        await self._show(2)
        assert await self._closed() == {}
        for each in self._front_ends:
            sockets = await each.page.evaluate("sockets")
            assert (sockets["greeted"], sockets["closes"]) == (1, []), each.script
            assert sockets["longestSilence"] < MAX_SILENCE_MS * self._scale, each.script
        await self._restart()

    async def _restart(self) -> None:
        await self._publish(3)
        await self._process.kill()
        await self._publish(4)
        await self._process.start()
        await self._show(4, live=False)
        await self._publish(5)
        await self._show(5)
        assert not CLOSED_FOR_A_FAULT & (await self._closed()).keys()
        for each in self._front_ends:
            sockets = await each.page.evaluate("sockets")
            assert (sockets["greeted"], sockets["most"]) == (2, 1), each.script
            assert set(sockets["closes"]) <= WHILE_RESTARTING, each.script
            assert await each.page.evaluate("faults") == [], each.script

    async def _publish(self, turn: int) -> None:
        for each in self._front_ends:
            await each.publish(self._process, turn)

    async def _show(self, turn: int, *, live: bool = True) -> None:
        for each in self._front_ends:
            await each.shows(turn, live=live)

    async def _closed(self) -> dict[str, int]:
        """Return how many connections the gateway saw end, by code; each page has just one."""
        stats = await asyncio.to_thread(get, self._process.url + "/ws/stats")
        assert stats["totalConnections"] == len(self._front_ends)
        closed: dict[str, int] = stats["closed"]
        return closed


async def test_a_page_of_100_markets_in_the_older_form_shows_every_market(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """It subscribes to all of them at once when its socket opens: 300 channels."""
    process = await start_process(heartbeat_interval=HEARTBEAT_SECONDS)
    await Session(process, SCALE, LegacyPage(100)).run(open_page)


async def test_hooks_that_mount_twice_share_one_connection_and_show_every_market(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """Subscribe, unsubscribe, subscribe for each; unmounted hooks leave the gateway's counts."""
    process = await start_process(heartbeat_interval=HEARTBEAT_SECONDS)
    hooks = HookPage(30)
    await Session(process, SCALE, hooks).run(open_page)
    assert await hooks.page.evaluate("connected") == 2
    await hooks.page.evaluate("unmounts.forEach((unmount) => unmount())")
    await hooks.page.wait_for_function("unanswered() === 0")
    stats = await asyncio.to_thread(get, process.url + "/ws/stats")
    assert (stats["totalConnections"], stats["connectionsPerSlab"]) == (1, {})


async def test_a_page_that_drops_a_line_after_45_s_of_silence_keeps_that_of_a_quiet_market(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """The gateway's heartbeats are messages, which a page can see."""
    process = await start_process(heartbeat_interval=HEARTBEAT_SECONDS)
    await Session(process, SCALE, SharedSocket(1)).run(open_page)


async def test_without_heartbeats_such_a_page_drops_the_line_of_a_quiet_market(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """So the rule is in force in the other tests."""
    process = await start_process(heartbeat_interval=0)
    page = SharedSocket(1)
    await page.open(open_page, process, SCALE)
    await page.page.wait_for_function("sockets.greeted === 2")
    assert await page.page.evaluate("faults") == ["silence"]


async def test_candles_from_trades_equal_those_of_the_stream_over_a_restart(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """The gateway is killed amid trades, and some come while it is down."""
    process = await start_process(heartbeat_interval=HEARTBEAT_SECONDS)
    await Session(process, SCALE, Chart()).run(open_page)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_four_front_ends_bear_125_s_of_silence_and_a_restart_in_real_time(
    start_process: StartProcess, open_page: OpenPage
) -> None:
    """At once, over one gateway whose settings are all the defaults."""
    front_ends = LegacyPage(100), HookPage(30), SharedSocket(1), Chart()
    await Session(await start_process(), 1, *front_ends).run(open_page)
