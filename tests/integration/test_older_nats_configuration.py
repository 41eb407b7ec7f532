"""A NATS server with the configuration of version 0.1.0, and the move to the present one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from tests.client import PATIENCE
from tests.gateway import Gateway, running
from tests.integration.deployed import CONFIG, PASSWORDS, ROOT, deployed, logged_in, login
from tests.nats_server import NatsServer

OLDER = ROOT / "tests" / "data" / "nats-server-0.1.0.conf"


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passwords that both files take from the environment."""
    for name, password in PASSWORDS.items():
        monkeypatch.setenv(name, password)


@asynccontextmanager
async def older_gateway(server: NatsServer) -> AsyncIterator[Gateway]:
    """Run a gateway without the new settings; the test publishes with the publisher's login."""
    async with running(login(server, "gateway"), "PERCOLATOR") as started:
        await started.nats.close()
        address = NatsAddress(login(server, "publisher"))
        started.nats = await connect(address, name="test", reconnect=True)
        started.publisher = Publisher(started.nats, "PERCOLATOR")
        yield started


async def test_a_gateway_without_a_prefix_works_with_the_older_configuration(
    tmp_path: Path,
) -> None:
    """It creates the stream, reads it, and reports invalid events."""
    with NatsServer(tmp_path, "--config", str(OLDER)) as server:
        async with older_gateway(server) as gateway:
            reports = await gateway.nats.subscribe("percolator.rejected")
            client = await gateway.client("trades:SOL")
            seq = await gateway.publish("trade", "SOL")
            assert (await client.receive())["seq"] == seq
            await gateway.publish_raw("percolator.trade.SOL", b"{}")
            assert json.loads((await reports.next_msg(timeout=PATIENCE)).data)["seq"] == seq + 1


async def test_the_stream_moves_to_the_present_configuration_with_its_folder(
    tmp_path: Path,
) -> None:
    """It is the same stream: same epoch, same seqs, so clients resume."""
    with NatsServer(tmp_path, "--config", str(OLDER)) as server:
        async with older_gateway(server) as gateway:
            client = await gateway.client("trades:SOL")
            first = await gateway.publish("trade", "SOL")
            assert (await client.receive())["seq"] == first
            epoch = gateway.service.hub.book.epoch
    store = tmp_path / "store" / "jetstream"
    (store / "GATEWAYS").rename(store / "STREAM")
    with NatsServer(tmp_path, "--config", str(CONFIG)) as server:
        async with deployed(server) as gateway:
            assert gateway.service.hub.book.epoch == epoch
            client = await gateway.client()
            client.subscribe("trades:SOL", since=first - 1, epoch=epoch)
            received = await client.receive_until(lambda message: message["type"] == "trade")
            assert received[-1]["seq"] == first
            assert await gateway.publish("trade", "SOL") == first + 1


async def test_with_the_older_configuration_an_answer_becomes_an_event(tmp_path: Path) -> None:
    """So test_nats_permissions, which tries the same with the present one, can fail."""
    with NatsServer(tmp_path, "--config", str(OLDER)) as server:
        async with older_gateway(server) as gateway, logged_in(server, "gateway") as user:
            seq = await gateway.publish("price", "SOL")
            request = b'{"last_by_subj":"percolator.price.SOL"}'
            subject = "$JS.API.DIRECT.GET.PERCOLATOR"
            await user.client.publish(subject, request, reply="percolator.price.SOL")
            await user.settle()
            await gateway.has_read(seq + 1)
