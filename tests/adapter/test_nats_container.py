"""Which NATS the tests use if a Docker engine answers: never one that cannot come."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import nats_container

Answer = Callable[[str], tuple[str, dict[str, object]] | None]
"""Takes a request line; returns status and body, or None for an engine that says nothing."""


@contextlib.contextmanager
def engine(folder: Path, answer: Answer) -> Iterator[str]:
    """An engine's API on a socket of its own."""
    path = str(folder / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        threading.Thread(target=_serve, args=(listening, answer), daemon=True).start()
        yield f"unix://{path}"
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, answer: Answer) -> None:
    silent: list[socket.socket] = []
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            break
        file = connection.makefile("rwb")
        line = file.readline().decode()
        while file.readline().strip():
            pass
        reply = answer(line)
        if reply is None:
            silent.append(connection)
            continue
        status, body = reply
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        file.write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        file.close()
        connection.close()
    for connection in silent:
        connection.close()


def without_registry(line: str) -> tuple[str, dict[str, object]]:
    """An engine that has no image, and reaches no registry."""
    if "/version" in line:
        return "200 OK", {"ApiVersion": "1.44"}
    if line.startswith("POST"):
        return "500 Internal Server Error", {"message": "dial tcp: lookup registry: no such host"}
    return "404 Not Found", {"message": "No such image"}


def with_image(line: str) -> tuple[str, dict[str, object]]:
    """An engine that has the image."""
    return "200 OK", {"ApiVersion": "1.44"} if "/version" in line else {"Id": "sha256:1"}


def silent(line: str) -> tuple[str, dict[str, object]] | None:
    """An engine that answers the first request only."""
    return ("200 OK", {"ApiVersion": "1.44"}) if "/version" in line else None


def test_an_engine_that_cannot_pull_is_an_obstacle_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests then run against the server of the wheel."""
    with engine(tmp_path, without_registry) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        said = nats_container.obstacle()
    assert said == (
        f"the image {nats_container.image()} is not there and cannot be pulled "
        "(dial tcp: lookup registry: no such host)"
    )


def test_an_engine_that_says_nothing_is_an_obstacle_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that is cut off keeps an engine waiting for minutes."""
    with engine(tmp_path, silent) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        said = nats_container.obstacle(seconds=0.5)
    assert said.endswith("is not there, and was not pulled within 0.5 s")


def test_an_engine_that_has_the_image_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is pulled."""
    with engine(tmp_path, with_image) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        assert nats_container.obstacle() == ""


def test_a_container_is_made_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Testcontainers' own NatsContainer warns on import, and warnings are errors here."""
    with engine(tmp_path, with_image) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        made = nats_container.container()
        assert made.image == nats_container.image()
        made.get_docker_client().client.close()


@pytest.mark.parametrize("address", ["unix:///nowhere.sock", "tcp://127.0.0.1:1"])
def test_without_an_engine_none_is_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever its clients would look for it."""
    monkeypatch.setenv("DOCKER_HOST", address)
    assert not nats_container.engine_answers()
