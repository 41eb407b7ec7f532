"""The commands that use NATS, as processes, against a hostile server that speaks its protocol."""

import json
import socket

import pytest

from tests.cli.program import Program
from tests.hostile import HARMFUL, listening

RED = "\x1b[31m\x07\u202e"
INFO = {"server_id": RED, "server_name": RED, "version": RED, "max_payload": 2**20}
INFO |= {"headers": True, "proto": 1, "jetstream": True}


def greet(client: socket.socket, answer: object) -> None:
    """Greet a client, and answer each of its requests alike; an error ends the connection."""
    client.sendall(f"INFO {json.dumps(INFO)}\r\n".encode())
    while data := client.recv(65_536):
        if isinstance(answer, str):
            client.sendall(f"-ERR '{answer}'\r\n".encode())
            return
        if b"PING\r\n" in data:
            client.sendall(b"PONG\r\n")
        for line in data.split(b"\r\n"):
            if line.startswith((b"PUB", b"HPUB")):
                body = json.dumps(answer).encode()
                reply = line.split()[2]
                client.sendall(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(body), body))


ERROR = {"error": {"code": 500, "err_code": 5, "description": RED}}


@pytest.mark.parametrize(
    ("answer", "code"), [(RED, 1), (ERROR, 1), ({"stream": RED, "seq": RED}, 0)]
)
def test_publish_shows_the_text_of_nats_without_its_escapes(
    program: Program, answer: object, code: int
) -> None:
    """An error of the server, of JetStream, and an ack."""
    with listening(lambda client: greet(client, answer)) as port:
        done = program.run(
            "publish", "price", "SOL", "1.5", "--nats-url", f"nats://127.0.0.1:{port}"
        )
    assert done.code == code
    assert r"\x1b[31m\x07\u202e" in done.out + done.err
    assert not [harm for harm in HARMFUL if harm in done.out + done.err]


@pytest.mark.parametrize("answer", [{"error": 5}, {"error": RED}, [1], 7, {"stream": 1}])
def test_publish_reports_an_answer_that_is_not_an_acknowledgement(
    program: Program, answer: object
) -> None:
    """In one sentence."""
    with listening(lambda client: greet(client, answer)) as port:
        done = program.run(
            "publish", "price", "SOL", "1.5", "--nats-url", f"nats://127.0.0.1:{port}"
        )
    assert (done.code, done.out) == (1, "")
    assert "something else than an acknowledgement" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("answer", [RED, ERROR, {"config": 5, "state": RED}, {"error": 5}, [1]])
def test_doctor_shows_the_text_of_nats_without_its_escapes(
    program: Program, answer: object
) -> None:
    """An answer of another shape is a finding too."""
    with listening(lambda client: greet(client, answer)) as port:
        address = f"nats://127.0.0.1:{port}"
        done = program.run("doctor", "--url", "127.0.0.1:1", "--nats-url", address)
    assert (done.code, done.err) == (1, "")
    assert "✗ NATS" in done.out or "✗ JetStream" in done.out
    assert not [harm for harm in HARMFUL if harm in done.out]
