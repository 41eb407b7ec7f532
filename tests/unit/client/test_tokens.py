"""Tokens: when a new one is due, and how often a function is asked."""

import asyncio
import base64
import json
import math
import time

import pytest

from percolator.client.tokens import LEAST_SECONDS, TokenSource, seconds_to_renewal
from percolator.errors import GatewayUnreachableError


def jwt(payload: object) -> str:
    """Return a token with a payload, whose signature is not valid."""
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2ln"


@pytest.mark.parametrize(("life", "wait"), [(3_600, 3_570), (40, 20), (1, LEAST_SECONDS), (-9, 5)])
def test_a_new_token_is_due_before_the_old_one_expires(life: float, wait: float) -> None:
    """By half a minute, or at half of a shorter life; never in a loop."""
    found = seconds_to_renewal(jwt({"exp": time.time() + life}))
    assert found == pytest.approx(wait, abs=1)


@pytest.mark.parametrize(
    "token",
    [
        "secret",
        "a.b.c",
        "a.!.c",
        "",
        jwt([]),
        jwt({}),
        jwt({"exp": "soon"}),
        jwt({"exp": None}),
        jwt({"exp": 10**400}),
        jwt({"exp": math.nan}),
    ],
)
def test_a_token_that_does_not_say_when_it_expires_is_not_renewed(token: str) -> None:
    """It need not be a JWT."""
    assert seconds_to_renewal(token) == math.inf


async def test_a_function_is_asked_once_until_it_has_answered() -> None:
    """An answer that comes after the caller has left is kept for the next one."""
    calls = 0
    answered = asyncio.Event()

    async def slow() -> str:
        nonlocal calls
        calls += 1
        await answered.wait()
        return f"t{calls}"

    source = TokenSource(slow)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.get(), 0.001)
    answered.set()
    await asyncio.sleep(0)
    assert await source.get() == "t1"
    assert calls == 1
    assert await source.get() == "t2"


@pytest.mark.parametrize("token", ["t", lambda: "t"])
async def test_a_token_may_be_a_string_or_a_function_that_is_not_async(token: str) -> None:
    """Only a function can return another one later."""
    source = TokenSource(token)
    assert await source.get() == "t"
    assert source.renewable == callable(token)


async def _none() -> str:
    return None  # type: ignore[return-value]


async def _fails() -> str:
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    ("function", "why"), [(_fails, "by zero"), (_none, "it returned no text"), (int, "no text")]
)
async def test_a_function_that_fails_is_one_error(function: object, why: str) -> None:
    """Whatever it raises, or returns."""
    source = TokenSource(function)  # type: ignore[arg-type]
    with pytest.raises(GatewayUnreachableError, match=f"the token function failed: .*{why}"):
        await source.get()


async def test_closing_stops_a_function_that_has_not_answered() -> None:
    """No task is left."""
    source = TokenSource(asyncio.Event().wait)  # type: ignore[arg-type]
    asking = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    asking.cancel()
    await source.close()
    await asyncio.gather(asking, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
