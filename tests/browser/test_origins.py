"""Pages of other origins in Chromium: what they may read, and the subprotocols that they offer."""

import time

import pytest
from playwright.async_api import Page

from percolator.auth import tokens
from tests.browser.conftest import BLANK, OpenPage, StartGateway
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "a secret of thirty-two bytes or more"
FETCH = """async ([url, headers]) => {
    const response = await fetch(url, { headers });
    return [response.status, response.headers.get("Retry-After")];
}"""
CHOSEN = """([url, offered]) => new Promise((resolve) => {
    const socket = new WebSocket(url, offered);
    socket.onopen = () => resolve(socket.protocol);
    socket.onerror = () => resolve("failed");
})"""


async def page_elsewhere(start_gateway: StartGateway, open_page: OpenPage) -> tuple[Page, str]:
    """Open a page of another origin, and return that origin too."""
    origin = f"http://127.0.0.1:{(await start_gateway()).port}"
    return await open_page(origin + BLANK), origin


async def test_a_page_of_an_allowed_origin_reads_what_is_open(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """The markets too with a token, for which the browser asks first; and why it is refused."""
    page, origin = await page_elsewhere(start_gateway, open_page)
    gateway = await start_gateway(allowed_origins=origin, auth=True, auth_secret=SECRET)
    url = f"http://127.0.0.1:{gateway.port}"
    token = tokens.mint(SECRET, ["*"], now=time.time(), seconds=60)
    headers = {"Authorization": f"Bearer {token}", "X-Requested-With": "fetch"}
    for path in ("/health", "/health/live", "/ws/stats"):
        assert await page.evaluate(FETCH, [url + path, {}]) == [200, None]
    assert await page.evaluate(FETCH, [f"{url}/markets", {}]) == [401, None]
    assert await page.evaluate(FETCH, [f"{url}/markets", headers]) == [200, None]


async def test_a_page_reads_when_it_may_ask_again(
    start_gateway: StartGateway, open_page: OpenPage
) -> None:
    """After a 429, from the header."""
    page, origin = await page_elsewhere(start_gateway, open_page)
    gateway = await start_gateway(
        allowed_origins=origin, requests_per_second=0.001, request_burst=1
    )
    url = f"http://127.0.0.1:{gateway.port}/markets"
    assert await page.evaluate(FETCH, [url, {}]) == [200, None]
    assert await page.evaluate(FETCH, [url, {}]) == [429, "1"]


async def test_chromium_opens_a_websocket_if_percolator_v1_is_among_its_subprotocols(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """It fails if it offers others only, since none is chosen; without any, nothing is chosen."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    url = f"ws://127.0.0.1:{gateway.port}/ws"
    for offered, chosen in (
        ([], ""),
        (["percolator.v1"], "percolator.v1"),
        (["graphql-ws", "percolator.v1"], "percolator.v1"),
        (["graphql-ws"], "failed"),
    ):
        assert await page.evaluate(CHOSEN, [url, offered]) == chosen
