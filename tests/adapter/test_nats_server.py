"""The test servers do what the other tests rely on."""

import socket
import uuid

import nats
import pytest
from nats.js.api import StorageType

from tests.nats_server import LOOPBACK, NatsServer, ReservedPort, greeting


async def test_the_shared_server_stores_messages_in_jetstream(
    nats_url: str, stream_name: str
) -> None:
    """In a stream of the test's own."""
    client = await nats.connect(nats_url)
    stream = client.jetstream()
    await stream.add_stream(name=stream_name, subjects=["percolator.*.*"])
    ack = await stream.publish("percolator.price.SOL", b"{}")
    assert (ack.stream, ack.seq) == (stream_name, 1)
    await client.close()


async def test_the_stream_of_an_earlier_test_is_deleted(nats_url: str, stream_name: str) -> None:
    """So the subjects that the test above used are free again."""
    client = await nats.connect(nats_url)
    info = await client.jetstream().add_stream(name=stream_name, subjects=["percolator.*.*"])
    assert info.state.messages == 0
    await client.close()


async def test_a_killed_server_keeps_its_port_and_store(
    nats_process: NatsServer,
) -> None:
    """Messages acknowledged before a kill -9 are there after the start."""
    url, first_pid = nats_process.url, nats_process.pid
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept"], storage=StorageType.FILE)
    await stream.publish("kept", b"before")
    await client.close()

    nats_process.kill()
    assert greeting(nats_process.port) is None
    nats_process.start()

    assert nats_process.url == url
    assert nats_process.pid != first_pid
    client = await nats.connect(url)
    message = await client.jetstream().get_msg("KEPT", 1)
    assert message.data == b"before"
    await client.close()


def test_a_frozen_server_is_silent_until_the_thaw(nats_process: NatsServer) -> None:
    """SIGSTOP leaves the port open and unanswered; SIGCONT brings the greeting."""
    nats_process.freeze()
    with socket.create_connection((LOOPBACK, nats_process.port)) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        nats_process.thaw()
        connection.settimeout(10)
        assert connection.recv(4) == b"INFO"


def test_close_ends_a_frozen_server(nats_process: NatsServer) -> None:
    """Whatever a test did to a server, nothing is left behind."""
    nats_process.freeze()
    nats_process.close()
    assert greeting(nats_process.port) is None


def test_the_server_listens_on_loopback_only(nats_process: NatsServer) -> None:
    """Only this machine can reach a test server."""
    info = greeting(nats_process.port)
    assert info is not None
    assert info["jetstream"] is True
    assert info["host"] == LOOPBACK


def test_a_reserved_port_is_not_given_out_again() -> None:
    """While a server is down, no other server gets its port."""
    ports = [ReservedPort() for _ in range(200)]
    assert len({port.number for port in ports}) == len(ports)
    for port in ports:
        port.release()


def test_a_server_that_cannot_start_raises_with_its_log(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """At once, so no test waits for it."""
    folder = tmp_path_factory.mktemp(uuid.uuid4().hex)
    with pytest.raises(RuntimeError, match="did not start"), NatsServer(folder, "--no-such-flag"):
        pass
