"""Tests that mostly wait, run concurrently: all scenarios of a module start together.

A function under `@at_once` is a test with its own name, docstring and result; its argument is a
folder. The tests of one module share one event loop.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

FaultScenario = Callable[[Path], Awaitable[None]]
Test = Callable[..., Awaitable[None]]

_SCENARIOS: dict[str, dict[str, FaultScenario]] = {}


def at_once(scenario: FaultScenario) -> Test:
    """Turn a scenario into a test that runs concurrently with the others of its module."""
    name = scenario.__name__
    _SCENARIOS.setdefault(scenario.__module__, {})[name] = scenario

    async def test(scenarios: dict[str, asyncio.Task[None]]) -> None:
        await scenarios[name]

    test.__name__, test.__qualname__ = name, name
    test.__doc__, test.__module__ = scenario.__doc__, scenario.__module__
    marked: Test = pytest.mark.asyncio(loop_scope="module")(test)
    return marked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scenarios(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """The selected scenarios of the module, all running."""
    registered = _SCENARIOS[request.module.__name__]
    wanted = [
        item.name
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    tasks = {}
    for name in wanted:
        if name in registered:
            running = registered[name](tmp_path_factory.mktemp(name[:30]))
            assert inspect.iscoroutine(running)
            tasks[name] = asyncio.create_task(running)
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
