"""A gateway that knows one server of a TLS cluster, whose certificate names only a host."""

import asyncio
from pathlib import Path

import pytest

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from tests.certificates import HOSTS, Authority
from tests.gateway import event_json, starting
from tests.integration.faults.cluster import cluster
from tests.integration.faults.scenario import PATIENCE, STREAM

pytestmark = pytest.mark.timeout(240)  # elections


async def test_a_gateway_reads_on_when_the_one_server_that_it_knows_dies(tmp_path: Path) -> None:
    """The others are announced by IP address, and their certificate has the name of the first."""
    authority = Authority(tmp_path)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue(cert, key, "nats", hosts=HOSTS[:1])
    flags = ("--tls", f"--tlscert={cert}", f"--tlskey={key}")
    with cluster(tmp_path / "nats", *flags) as servers:
        first = servers.servers["n1"]
        known = f"tls://localhost:{first.port}"
        everywhere = ",".join(f"tls://localhost:{each.port}" for each in servers.servers.values())
        client = await connect(
            NatsAddress(everywhere, tls_ca=authority.file), name="test", reconnect=True
        )
        await servers.make_stream(client, STREAM)
        events = Publisher(client, STREAM)
        async with starting(known, STREAM, nats_tls_ca=authority.file) as gateway:
            async with asyncio.timeout(PATIENCE):
                await gateway.service.ready()
                first.kill()
                seq = await events.publish("percolator.trade.SOL", event_json("trade"), "an id")
                await gateway.has_read(seq)
            assert gateway.service.feed.connected
        await client.close()
