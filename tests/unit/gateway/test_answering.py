"""Answers that take a while: turns, what a client that leaves ends, and what ends a wait."""

import asyncio
import logging
from http import HTTPStatus

import pytest
from websockets.http11 import Response

from percolator.gateway import responses
from percolator.gateway.answering import MAX_WORK, WORK_PER_NETWORK, Answering, Later


class Caller:
    """A connection that waits; its work ends when the test lets it."""

    def __init__(self, number: int = 0, address: str = "192.0.2.1") -> None:
        self.id = number
        self.address = address
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.got: list[Response] = []

    @property
    def later(self) -> Later:
        """The answer that it waits for."""
        return Later(self._work, {"X-Added": "yes"})

    def answer(self, response: Response) -> None:
        """Record the response."""
        self.got.append(response)

    async def _work(self) -> Response:
        self.started.set()
        try:
            await self.go_on.wait()
        finally:
            self.ended.set()
        return responses.sentence(HTTPStatus.OK, "done")


@pytest.fixture
def answering() -> Answering[Caller]:
    """No connection waits yet."""
    return Answering()


async def settle() -> None:
    """Run what is ready to run."""
    for _ in range(5):
        await asyncio.sleep(0)


def add(answering: Answering[Caller], count: int, address: str = "192.0.2.1") -> list[Caller]:
    """Add callers of one address."""
    callers = [Caller(number, address) for number in range(count)]
    for caller in callers:
        answering.add(caller, caller.later)
    return callers


def working(callers: list[Caller]) -> int:
    """Count those whose work has begun."""
    return sum(caller.started.is_set() for caller in callers)


async def test_a_caller_gets_the_response_with_the_headers_of_its_request(
    answering: Answering[Caller],
) -> None:
    """Once, and then nothing is left."""
    (caller,) = add(answering, 1)
    caller.go_on.set()
    await settle()
    (response,) = caller.got
    assert (response.status_code, response.headers["X-Added"]) == (200, "yes")
    assert len(answering) == 0


async def test_one_network_cannot_take_all_places(answering: Answering[Caller]) -> None:
    """Its other requests wait, and those of another address begin at once."""
    greedy = add(answering, 20, "2001:db8::/64") + add(answering, 20, "2001:db8:0:1::/64")
    others = add(answering, 20)
    await settle()
    assert (working(greedy), working(others)) == (WORK_PER_NETWORK, MAX_WORK - WORK_PER_NETWORK)
    for caller in (*greedy, *others):
        caller.go_on.set()
    await settle()
    while len(answering):
        await settle()
    assert all(len(caller.got) == 1 for caller in (*greedy, *others))


async def test_the_work_for_a_caller_that_leaves_ends(answering: Answering[Caller]) -> None:
    """The next one has its place once the work has ended."""
    callers = add(answering, WORK_PER_NETWORK + 2)
    await settle()
    answering.forget(callers[0])
    answering.forget(callers[-1])
    await settle()
    assert callers[0].ended.is_set()
    assert [caller.started.is_set() for caller in callers] == [True] * (WORK_PER_NETWORK + 1) + [
        False
    ]
    await answering.stop()
    assert (callers[0].got, callers[-1].got, len(answering)) == ([], [], 0)


async def test_a_caller_that_waited_too_long_gets_another_response(
    answering: Answering[Caller],
) -> None:
    """Whether its work has begun or not; nothing of it is left."""
    callers = add(answering, WORK_PER_NETWORK + 1)
    await settle()
    for caller in (callers[0], callers[-1]):
        answering.give_up(caller, responses.too_slow())
        (response,) = caller.got
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert response.headers["X-Added"] == "yes"
    await settle()
    assert (callers[0].ended.is_set(), callers[-1].started.is_set()) == (True, False)
    await answering.stop()


async def test_work_that_fails_is_logged_and_answered_with_500(
    answering: Answering[Caller], caplog: pytest.LogCaptureFixture
) -> None:
    """The next request is not affected."""

    async def fail() -> Response:
        raise ValueError("broken")

    caller = Caller(7)
    with caplog.at_level(logging.ERROR):
        answering.add(caller, Later(fail, {}))
        await settle()
    assert caller.got[0].status_code == 500
    assert [record.getMessage() for record in caplog.records] == ["conn 7: an answer failed"]
    assert len(answering) == 0


async def test_a_shutdown_answers_those_that_wait(answering: Answering[Caller]) -> None:
    """And leaves no work behind."""
    callers = add(answering, WORK_PER_NETWORK + 2)
    await settle()
    await answering.stop()
    assert [caller.got[0].status_code for caller in callers] == [503] * len(callers)
    assert all(caller.ended.is_set() for caller in callers[:WORK_PER_NETWORK])
    (late,) = add(answering, 1)
    assert (late.got[0].status_code, late.started.is_set()) == (503, False)
    assert len(answering) == 0
