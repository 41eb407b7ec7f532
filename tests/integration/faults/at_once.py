"""Tests that mostly wait, run side by side: each is a scene, and all of a module begin together.

What stands under `@at_once` is a test like any other, with a name, a docstring and a result of its
own; it is given a folder. Those of one module share one event loop.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

FaultScenario = Callable[[Path], Awaitable[None]]
Test = Callable[..., Awaitable[None]]

_SCENES: dict[str, dict[str, FaultScenario]] = {}


def at_once(scene: FaultScenario) -> Test:
    """Make a test of a scene that runs beside the others of its module."""
    name = scene.__name__
    _SCENES.setdefault(scene.__module__, {})[name] = scene

    async def test(scenes: dict[str, asyncio.Task[None]]) -> None:
        await scenes[name]

    test.__name__, test.__qualname__ = name, name
    test.__doc__, test.__module__ = scene.__doc__, scene.__module__
    marked: Test = pytest.mark.asyncio(loop_scope="module")(test)
    return marked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scenes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """Those scenes of the module that are to be tested, all under way."""
    known = _SCENES[request.module.__name__]
    wanted = [
        item.name
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    tasks = {}
    for name in wanted:
        if name in known:
            played = known[name](tmp_path_factory.mktemp(name[:30]))
            assert inspect.iscoroutine(played)
            tasks[name] = asyncio.create_task(played)
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
