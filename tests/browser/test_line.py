"""The connection under percolator.js: signs of life, sleep, back-off, a gateway that closes.

Time is the page's own clock, which the test moves. The gateway is real, and so is its silence.
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


class Watched:
    """A page whose clock stands still, and what went over its sockets."""

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
        """How many messages of a type have come in."""
        return sum(message["type"] == kind for message in self.received)

    async def states(self) -> list[str]:
        """Give the names of all states so far."""
        return [state["name"] for state in await self.all_states()]

    async def all_states(self) -> list[dict[str, Any]]:
        """Give all states so far."""
        found: list[dict[str, Any]] = await self.page.evaluate("states")
        return found

    async def reaches(self, name: str, times: int = 1) -> None:
        """Wait until the feed was in a state so many times."""
        script = f"states.filter((state) => state.name === '{name}').length >= {times}"
        await self.page.wait_for_function(script)


async def watched(open_page: OpenPage, url: str, *channels: str) -> Watched:
    """Open a page that follows channels, and stop its clock."""
    page = await open_page(url + BLANK)
    watched = Watched(page)
    await page.clock.install()
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
    await page.evaluate(CONNECT)
    await page.evaluate("(channels) => { if (channels.length) listen(channels); }", channels)
    await watched.reaches("live")
    return watched


def address(gateway: Gateway) -> str:
    """Where a gateway in this process is."""
    return f"http://127.0.0.1:{gateway.port}"


async def test_a_quiet_market_is_no_reason_to_reconnect(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """The gateway answers each ping, and the feed stays live on its one connection."""
    line = await watched(open_page, address(gateway), "trades:SOL")
    for pongs in range(1, 6):
        await line.page.clock.run_for(15_100)
        await eventually(lambda pongs=pongs: line.count("pong") == pongs)  # type: ignore[misc]
    assert await line.states() == ["connecting", "live"]
    assert len(line.sockets) == 1


async def test_a_silent_gateway_is_stale_and_then_given_up(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """Stale since it was last heard, then another connection, on which the tape is completed."""
    line = await watched(open_page, process.url, "trades:SOL")
    await process.trades("SOL", range(2))
    await line.page.wait_for_function("got.length === 2")
    heard = await line.page.evaluate("feed.heardAt")
    process.freeze()
    await process.trades("SOL", range(2, 4))
    await line.page.clock.run_for(15_100)
    await line.page.clock.run_for(5_000)
    stale = (await line.all_states())[-1]
    assert (stale["name"], stale["since"]) == ("stale", heard)
    await line.page.clock.run_for(5_000)
    waiting = (await line.all_states())[-1]
    assert (waiting["name"], waiting["reason"]) == ("waiting", "nothing was heard from the gateway")
    process.thaw()
    await line.page.clock.run_for(1_000)
    await line.page.wait_for_function("got.length === 4")
    assert await line.page.evaluate("got.map((message) => message.size)") == ["0", "1", "2", "3"]
    assert (await line.states())[-1] == "live"


async def test_an_answer_that_is_late_makes_it_live_again(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """Stale is a doubt, and no verdict."""
    line = await watched(open_page, process.url, "trades:SOL")
    process.freeze()
    await line.page.clock.run_for(15_100)
    await line.page.clock.run_for(5_000)
    process.thaw()
    await line.reaches("live", 2)
    assert await line.states() == ["connecting", "live", "stale", "live"]
    assert len(line.sockets) == 1


async def test_sleep_ends_no_connection_that_still_works(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """After an hour that no timer saw, the gateway is asked, and given time to answer."""
    line = await watched(open_page, address(gateway), "trades:SOL")
    for pongs in range(1, 4):
        await line.page.clock.fast_forward(3_600_000)
        await eventually(lambda pongs=pongs: line.count("pong") == pongs)  # type: ignore[misc]
    assert await line.states() == ["connecting", "live"]
    assert len(line.sockets) == 1


async def test_sleep_over_an_open_question_asks_again(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The answer may have come while nobody was there: only the second silence counts."""
    line = await watched(open_page, process.url, "trades:SOL")
    process.freeze()
    await line.page.clock.run_for(15_100)
    await line.page.clock.fast_forward(3_600_000)
    assert (await line.states())[-1] == "live"
    await line.page.clock.run_for(5_000)
    assert (await line.states())[-1] == "stale"
    await line.page.clock.run_for(5_000)
    assert (await line.states())[-1] == "waiting"


@pytest.mark.parametrize("event", ["online", "pageshow"])
async def test_a_network_that_is_back_is_used_at_once(
    process: GatewayProcess, open_page: OpenPage, event: str
) -> None:
    """No timer runs, and the feed connects."""
    line = await watched(open_page, process.url, "trades:SOL")
    await process.kill()
    await line.reaches("waiting")
    await process.start()
    await line.page.clock.fast_forward(0)
    await line.page.evaluate("(now) => { Date.now = () => now; }", await later(line.page))
    await line.page.evaluate("(name) => { dispatchEvent(new Event(name)); }", event)
    await line.reaches("live", 2)


async def later(page: Page) -> int:
    """Give a time past the second in which the feed does not let itself be hurried."""
    found: int = await page.evaluate("Date.now() + 1001")
    return found


async def test_the_wait_doubles_and_is_spread(process: GatewayProcess, open_page: OpenPage) -> None:
    """Each wait lies between half of its most and its most, and none is over 20 s."""
    line = await watched(open_page, process.url, "trades:SOL")
    await process.kill()
    for attempt in range(8):
        await line.reaches("waiting", attempt + 1)
        state = (await line.all_states())[-1]
        wait = state["retryAt"] - state["since"]
        most = min(20_000, 500 * 2**attempt)
        assert most / 2 <= wait <= most, (attempt, wait)
        assert state["reason"] == "the gateway cannot be reached" or attempt == 0
        await line.page.clock.run_for(wait)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_connections_per_ip", "too many connections from this address"),
        ("max_connections_per_slab", "too many clients on this market"),
    ],
)
async def test_only_an_answer_makes_the_next_wait_short_again(
    start_gateway: StartGateway, open_page: OpenPage, limit: str, reason: str
) -> None:
    """A gateway that lets the page in, or even greets it, and refuses it is not hammered."""
    gateway = await start_gateway(**{limit: 1})
    other = await gateway.client("trades:SOL")
    page = await open_page(address(gateway) + BLANK)
    line = Watched(page)
    await page.clock.install()
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
    await page.evaluate(CONNECT)
    await page.evaluate("() => { listen('trades:SOL'); }")
    for attempt in range(4):
        await line.reaches("waiting", attempt + 1)
        state = (await line.all_states())[-1]
        wait = state["retryAt"] - state["since"]
        assert (state["reason"], wait >= 250 * 2**attempt) == (reason, True)
        if attempt == 3:
            other.abort()
            await eventually(lambda: gateway.service.admission.places.total == 0)
        lives = (await line.states()).count("live")  # one may be of before it asked for a channel
        await page.clock.run_for(wait)
    await line.reaches("live", lives + 1)
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await line.reaches("waiting", 5)
    state = (await line.all_states())[-1]
    assert state["retryAt"] - state["since"] <= 500


async def test_a_gateway_that_closes_says_when_to_come_back(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The wait is the one that it announced, and neither a page that comes back nor we cut it."""
    line = await watched(open_page, process.url, "trades:SOL")
    await process.kill(signal.SIGTERM)
    await line.reaches("waiting")
    (closing,) = [message for message in line.received if message["type"] == "closing"]
    state = (await line.all_states())[-1]
    assert state["retryAt"] - state["since"] == closing["reconnectInMs"]
    assert state["reason"] == "the gateway is shutting down, reconnect"
    await line.page.evaluate("(now) => { Date.now = () => now; }", await later(line.page))
    await line.page.evaluate("dispatchEvent(new Event('online'))")
    assert (await line.states())[-1] == "waiting"


async def test_a_gateway_that_does_not_come_back_is_tried_ever_less_often(
    process: GatewayProcess, open_page: OpenPage
) -> None:
    """The wait that it announced, which may be none at all, is for the first attempt alone."""
    line = await watched(open_page, process.url, "trades:SOL")
    await process.kill(signal.SIGTERM)
    await line.reaches("waiting")
    for attempt in range(4):
        state = (await line.all_states())[-1]
        await line.page.clock.run_for(state["retryAt"] - state["since"])
        await line.reaches("waiting", attempt + 2)
        state = (await line.all_states())[-1]
        most = 500 * 2**attempt
        assert most / 2 <= state["retryAt"] - state["since"] <= most, attempt
