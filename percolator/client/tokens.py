"""Tokens: where they come from, and when a new one is due."""

import asyncio
import base64
import contextlib
import inspect
import math
import time
from collections.abc import Awaitable, Callable

from pydantic_core import from_json

from percolator.errors import GatewayUnreachableError

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that returns one: a coroutine, or a function that does not block."""

MARGIN_SECONDS = 30.0
"""A new token is fetched this long before the old one expires, or at half of a shorter life."""
LEAST_SECONDS = 5.0
"""Seconds between two tokens of one connection, at least."""


class TokenSource:
    """Asks for tokens: never twice at the same time, and an answer that comes late is kept."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._asking: asyncio.Task[str] | None = None

    @property
    def renewable(self) -> bool:
        """True if it is a function, so that the next token may be another one."""
        return not isinstance(self._token, str)

    async def get(self) -> str:
        """Return a token. Raises GatewayUnreachableError if the function fails."""
        if isinstance(self._token, str):
            return self._token
        if self._asking is None:
            self._asking = asyncio.create_task(_ask(self._token))
        asking = self._asking
        try:
            return await asyncio.shield(asking)
        finally:
            if asking.done():
                self._asking = None

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(GatewayUnreachableError, asyncio.CancelledError):
                await self._asking


async def _ask(function: Callable[[], str | Awaitable[str]]) -> str:
    try:
        found = function()
        token = await found if inspect.isawaitable(found) else found
    except Exception as error:  # whatever the program's function raises
        why = str(error) or type(error).__name__
        raise GatewayUnreachableError(f"the token function failed: {why}") from error
    if not isinstance(token, str):
        raise GatewayUnreachableError("the token function failed: it returned no text")
    return token


def seconds_to_renewal(token: str) -> float:
    """Return when the successor of a token is due; infinite if the token does not say."""
    try:
        payload = token.split(".")[1]
        claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        left = float(from_json(claims, allow_inf_nan=False)["exp"]) - time.time()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return math.inf  # it is not a JWT, or does not expire
    return max(left - min(MARGIN_SECONDS, left / 2), LEAST_SECONDS)
