"""Every command finds the token of an embedded NATS server; other users of the machine do not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from percolator.jetstream.embedded import server as embedded
from percolator.jetstream.embedded.server import EmbeddedNats
from tests.cli.program import Program
from tests.gateway import Gateway, eventually, starting
from tests.nats_server import NatsServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """An embedded server, as a first gateway starts it."""
    started = await embedded.start(tmp_path / "data", port=0)
    yield started
    await started.stop()


@pytest.fixture
async def gateway(server: EmbeddedNats) -> AsyncIterator[Gateway]:
    """A second gateway, which uses the server of the first."""
    async with starting(server.url, "PERCOLATOR", data_dir=server.data_dir) as started:
        await started.service.ready()
        yield started


def program(tmp_path: Path, server: EmbeddedNats, gateway: Gateway, **settings: object) -> Program:
    """The program of a user who owns the data folder."""
    values = {"data_dir": server.data_dir, **settings}
    return Program(tmp_path, nats_url=server.url, port=gateway.port, **values)


async def test_a_second_gateway_and_publish_find_the_token(
    tmp_path: Path, server: EmbeddedNats, gateway: Gateway
) -> None:
    """In the data folder."""
    ours = program(tmp_path, server, gateway)
    done = await asyncio.to_thread(ours.run, "publish", "price", "SOL", "1.5", "--json")
    assert (done.code, done.json["seq"]) == (0, 1)
    await gateway.has_read(1)


async def test_doctor_finds_the_token(
    tmp_path: Path, server: EmbeddedNats, gateway: Gateway
) -> None:
    """So it sees NATS as the gateway does."""
    done = await asyncio.to_thread(program(tmp_path, server, gateway).run, "doctor", "--json")
    assert {each["name"]: each["verdict"] for each in done.json}["NATS"] == "ok"


async def test_without_the_data_folder_one_sentence_says_what_to_set(
    tmp_path: Path, server: EmbeddedNats, gateway: Gateway
) -> None:
    """It may be the server of another user."""
    foreign = program(tmp_path, server, gateway, data_dir=tmp_path / "other")
    done = await asyncio.to_thread(foreign.run, "publish", "price", "SOL", "1.5")
    assert done.code == 1
    assert "nats_token" in done.err
    assert "data_dir" in done.err
    assert done.err.count("\n") == 1


async def test_a_gateway_that_is_refused_says_what_to_set(
    tmp_path: Path, server: EmbeddedNats
) -> None:
    """It keeps trying, since the server may go."""
    async with starting(server.url, "PERCOLATOR", data_dir=tmp_path / "other") as refused:
        await eventually(lambda: "data_dir" in refused.service.feed.trouble)
        assert not refused.service.feed.loaded


async def test_a_server_without_a_token_is_used_as_before(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """As an older version starts it."""
    async with starting(nats_process.url, "PERCOLATOR", data_dir=tmp_path) as gateway:
        await gateway.service.ready()
