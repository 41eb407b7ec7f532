"""The connection of percolator.js: liveness checks, sleep, back-off, a gateway that closes.

The tests move the page's clock. The gateway is real, and so are its failures.
"""

import json
import signal
from typing import Any

import pytest
from playwright.async_api import Page, WebSocket

from tests.browser.conftest import BLANK, OpenPage, StartGateway
from tests.browser.process import GatewayProcess
from tests.browser.test_client import CONNECT
from tests.gateway import Gateway, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


STEADY = ["connecting", "live", "connecting", "live"]
"""The states of a feed that goes on: live without channels, and then with one."""


class Watched:
    """A page whose clock is stopped, and the messages on its sockets."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sockets: list[WebSocket] = []
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framesent", lambda payload: self.sent.append(json.loads(payload)))
        socket.on("framereceived", lambda payload: self.received.append(json.loads(payload)))

    def count(self, kind: str) -> int:
        """Return the number of messages of a type that were received."""
        return sum(message["type"] == kind for message in self.received)

    async def states(self) -> list[str]:
        """Return the names of all states so far."""
        return [state["name"] for state in await self.all_states()]

    async def all_states(self) -> list[dict[str, Any]]:
        """Return all states so far."""
        found: list[dict[str, Any]] = await self.page.evaluate("states")
        return found

    async def reaches(self, name: str, times: int = 1) -> None:
        """Wait until the feed has entered a state a number of times."""
        script = f"states.filter((state) => state.name === '{name}').length >= {times}"
        await self.page.wait_for_function(script)


async def open_watched(open_page: OpenPage, url: str, *channels: str) -> Watched:
    """Open a page, subscribe it to channels, and stop its clock."""
    page = await open_page(url + BLANK)
    watched = Watched(page)
    await page.clock.install()
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
    await page.evaluate(CONNECT)
    await watched.reaches("live")
    if channels:
        await page.evaluate("(channels) => { listen(channels); }", channels)
        await watched.reaches("live", 2)
    return watched


def address(gateway: Gateway) -> str:
    """Return the address of a gateway in this process."""
    return f"http://127.0.0.1:{gateway.port}"


async def test_a_feed_stays_connected_while_its_market_is_quiet(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The gateway answers each ping, and the feed stays live on one connection."""
    watched = await open_watched(open_page, address(gateway), "trades:SOL")
    for pongs in range(1, 6):
        await watched.page.clock.run_for(15_100)
        await eventually(lambda pongs=pongs: watched.count("pong") == pongs)  # type: ignore[misc]
    assert await watched.states() == STEADY
    assert len(watched.sockets) == 1


async def test_a_silent_gateway_makes_the_feed_stale_and_then_reconnect(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The feed is stale since the last message; a new connection then completes the tape."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    await process.trades("SOL", range(2))
    await watched.page.wait_for_function("got.length === 2")
    heard = await watched.page.evaluate("feed.heardAt")
    process.freeze()
    await process.trades("SOL", range(2, 4))
    await watched.page.clock.run_for(15_100)
    await watched.page.clock.run_for(5_000)
    stale = (await watched.all_states())[-1]
    assert (stale["name"], stale["since"]) == ("stale", heard)
    await watched.page.clock.run_for(4_000)
    waiting = (await watched.all_states())[-1]
    assert (waiting["name"], waiting["reason"]) == ("waiting", "the gateway stopped responding")
    process.thaw()
    await watched.page.clock.run_for(1_000)
    await watched.page.wait_for_function("got.length === 4")
    assert await watched.page.evaluate("got.map((message) => message.size)") == ["0", "1", "2", "3"]
    assert (await watched.states())[-1] == "live"


async def test_a_late_answer_makes_the_feed_live_again(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """A stale feed keeps its connection until the answer is far too late."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    process.freeze()
    await watched.page.clock.run_for(15_100)
    await watched.page.clock.run_for(5_000)
    process.thaw()
    await watched.reaches("live", 3)
    assert await watched.states() == [*STEADY, "stale", "live"]
    assert len(watched.sockets) == 1


async def test_a_working_connection_survives_sleep(gateway: Gateway, open_page: OpenPage) -> None:
    """After an hour without timers, the feed pings the gateway and waits for its answer."""
    watched = await open_watched(open_page, address(gateway), "trades:SOL")
    for pongs in range(1, 4):
        await watched.page.clock.fast_forward(3_600_000)
        await eventually(lambda pongs=pongs: watched.count("pong") == pongs)  # type: ignore[misc]
    assert await watched.states() == STEADY
    assert len(watched.sockets) == 1


async def test_a_feed_that_slept_after_a_ping_pings_again(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The first answer may have come during sleep, so only the second silence counts."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    process.freeze()
    await watched.page.clock.run_for(15_100)
    await watched.page.clock.fast_forward(3_600_000)
    assert (await watched.states())[-1] == "live"
    await watched.page.clock.run_for(5_000)
    assert (await watched.states())[-1] == "stale"
    await watched.page.clock.run_for(4_000)
    assert (await watched.states())[-1] == "waiting"


@pytest.mark.parametrize("event", ["online", "pageshow"])
async def test_a_feed_reconnects_at_once_when_the_network_is_back(
    process: GatewayProcess, open_page: OpenPage, event: str
) -> None:
    """The page's timers are stopped, and the feed connects all the same."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    await process.kill()
    await watched.reaches("waiting")
    await process.start()
    await watched.page.clock.fast_forward(0)
    await watched.page.evaluate("(now) => { Date.now = () => now; }", await later(watched.page))
    await watched.page.evaluate("(name) => { dispatchEvent(new Event(name)); }", event)
    await watched.reaches("live", 3)


async def later(page: Page) -> int:
    """Return a time after the second in which the feed ignores such events."""
    found: int = await page.evaluate("Date.now() + 1001")
    return found


async def test_waits_double_up_to_a_limit_and_are_random(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """Each wait is between half of its limit and the limit, which is at most 20 s."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    await process.kill()
    for attempt in range(8):
        await watched.reaches("waiting", attempt + 1)
        state = (await watched.all_states())[-1]
        wait = state["retryAt"] - state["since"]
        limit = min(20_000, 500 * 2**attempt)
        assert limit / 2 <= wait <= limit, (attempt, wait)
        assert state["reason"] == "the gateway cannot be reached" or attempt == 0
        await watched.page.clock.run_for(wait)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_connections_per_ip", "too many connections from this address"),
        ("max_connections_per_slab", "too many clients on this market"),
    ],
)
async def test_only_a_connection_that_has_lasted_shortens_the_next_wait(
    start_gateway: StartGateway, open_page: OpenPage, limit: str, reason: str
) -> None:
    """The waits keep growing while a gateway accepts and then refuses the page; 5 s end that."""
    gateway = await start_gateway(**{limit: 1})
    other = await gateway.client("trades:SOL")
    page = await open_page(address(gateway) + BLANK)
    watched = Watched(page)
    await page.clock.install()
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
    await page.evaluate(CONNECT)
    await page.evaluate("() => { listen('trades:SOL'); }")
    for attempt in range(4):
        await watched.reaches("waiting", attempt + 1)
        state = (await watched.all_states())[-1]
        wait = state["retryAt"] - state["since"]
        assert (state["reason"], wait >= 250 * 2**attempt) == (reason, True)
        if attempt == 3:
            other.abort()
            await eventually(lambda: gateway.service.admission.places.total == 0)
        # One of them may be from before the page requested a channel.
        lives = (await watched.states()).count("live")
        await page.clock.run_for(wait)
    await watched.reaches("live", lives + 1)
    await page.clock.run_for(6_000)
    await gateway.publish("trade", "SOL")
    await page.wait_for_function("got.length > 0")
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await watched.reaches("waiting", 5)
    state = (await watched.all_states())[-1]
    assert state["retryAt"] - state["since"] <= 500


async def test_a_feed_keeps_to_the_wait_that_a_closing_gateway_announced(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """A network that is back does not shorten it."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    await watched.page.clock.run_for(500)  # a newer connection waits for half a second at least
    await process.kill(signal.SIGTERM)
    await watched.reaches("waiting")
    (closing,) = [message for message in watched.received if message["type"] == "closing"]
    state = (await watched.all_states())[-1]
    assert state["retryAt"] - state["since"] == closing["reconnectInMs"]
    assert state["reason"] == "the gateway is shutting down, reconnect"
    await watched.page.evaluate("(now) => { Date.now = () => now; }", await later(watched.page))
    await watched.page.evaluate("dispatchEvent(new Event('online'))")
    assert (await watched.states())[-1] == "waiting"


async def test_waits_grow_if_a_gateway_does_not_come_back_as_announced(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The announced wait, which may be 0, is for the first attempt only."""
    watched = await open_watched(open_page, process.url, "trades:SOL")
    await process.kill(signal.SIGTERM)
    await watched.reaches("waiting")
    for attempt in range(4):
        state = (await watched.all_states())[-1]
        await watched.page.clock.run_for(state["retryAt"] - state["since"])
        await watched.reaches("waiting", attempt + 2)
        state = (await watched.all_states())[-1]
        limit = 500 * 2**attempt
        assert limit / 2 <= state["retryAt"] - state["since"] <= limit, attempt
