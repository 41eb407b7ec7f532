"""Fixtures of the browser tests: one Chromium, pages that must not log errors, and gateways.

All of them use the event loop of the session, because the browser does. A page is closed before
its gateway.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.chromium import FLAGS, find
from tests.browser.process import GatewayProcess
from tests.cli.program import Program
from tests.gateway import Gateway, running

ARTIFACTS = Path(__file__).parents[1] / "artifacts" / "browser"
NETWORK = re.compile(r"Failed to load resource|WebSocket connection to .* failed")
"""Errors that Chromium logs by itself if a gateway cannot be reached."""
BLANK = "/health/live"
"""An empty page on the gateway's origin, without a security policy."""

StartGateway = Callable[..., Awaitable[Gateway]]
OpenPage = Callable[..., Awaitable[Page]]
Shoot = Callable[[Page, str], Awaitable[object]]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser. If there is none, the tests are skipped; in CI, they fail."""
    path = find()
    if path is None:
        reason = "Chromium was not found: install it, or set the variable CHROMIUM to its path"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One browser for all tests; each test has its own contexts."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=FLAGS, ignore_default_args=["--hide-scrollbars"]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def start_gateway(nats_url: str, stream_name: str) -> AsyncIterator[StartGateway]:
    """Start a gateway with the given settings in this process, on the test's stream."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Gateway:
            return await stack.enter_async_context(running(nats_url, stream_name, **settings))

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway in this process."""
    return await start_gateway()


@pytest_asyncio.fixture(loop_scope="session")
async def process(tmp_path: Path, nats_url: str, stream_name: str) -> AsyncIterator[GatewayProcess]:
    """A gateway in its own process, which can be killed and restarted on the same port."""
    settings = {"attempts_per_second": 0, "drain_seconds": 1}
    program = Program(tmp_path, nats_url=nats_url, stream=stream_name, **settings)
    async with GatewayProcess(program, nats_url, stream_name) as process:
        await process.start()
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open a page. The test fails if it throws or logs an error."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    async def open_page(url: str, **options: object) -> Page:
        context = await browser.new_context(**{"color_scheme": "dark", **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        await page.goto(url)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert [text for text in errors if not NETWORK.search(text)] == []


@pytest.fixture(scope="session")
def shoot() -> Shoot:
    """Save a screenshot of a page under a name."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)

    async def shoot(page: Page, name: str) -> object:
        return await page.screenshot(path=ARTIFACTS / f"{name}.png")

    return shoot
