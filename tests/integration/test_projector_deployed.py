"""A projector with nothing but the permissions of nats/nats-server.conf."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import eventually
from tests.integration.deployed import User, deployed, logged_in, login, serving, set_passwords
from tests.integration.projecting import CANDLES, start
from tests.nats_server import NatsServer

PREFIX = ("--nats-prefix", "projector")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A nats-server with our configuration and some users more."""
    set_passwords(monkeypatch)
    with serving(tmp_path / "nats") as started:
        yield started


async def written(operator: User, count: int) -> list[dict[str, object]]:
    """Wait for a number of candles, as the operator reads them."""
    async with asyncio.timeout(30):
        while True:
            answer = json.loads(await operator.request(f"$JS.API.STREAM.INFO.{CANDLES}"))
            if answer.get("state", {}).get("messages", 0) >= count:
                break
            await asyncio.sleep(0.1)
    context = operator.client.jetstream()
    found = [await context.get_msg(CANDLES, seq) for seq in range(1, count + 1)]
    return [json.loads(each.data or b"") for each in found]


async def test_a_projector_can_do_all_its_work(server: NatsServer, tmp_path: Path) -> None:
    """It creates both streams, writes candles, and goes on after a restart."""
    url = login(server, "projector")
    async with logged_in(server, "operator") as operator:
        with start(tmp_path, url, *PREFIX) as projector:
            assert projector.process.stdout is not None
            line = await asyncio.to_thread(projector.process.stdout.readline)
            assert line.startswith("percolator project is ready: reads PERCOLATOR, writes")
            assert "aprojector" not in line
            async with deployed(server) as gateway:
                await gateway.publish("trade", "SOL", size="5")
                assert [each["volume"] for each in await written(operator, 1)] == ["5"]
                projector.kill()
                await gateway.publish("trade", "SOL", size="6")
        with start(tmp_path, url, *PREFIX):
            found = await written(operator, 2)
        assert [each["volume"] for each in found] == ["5", "6"]


async def test_a_login_that_may_not_write_candles_is_told_what_to_set(
    server: NatsServer, tmp_path: Path
) -> None:
    """It names the permission, and waits."""
    with start(tmp_path, login(server, "gateway"), "--nats-prefix", "gateway") as projector:
        wanted = 'permissions violation for publish to "gateway.api.stream.create'
        await eventually(lambda: any(wanted in line.lower() for line in projector.lines))
        assert projector.terminate() == 0
