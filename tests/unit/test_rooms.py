"""The house keeps its rooms: imports point downward, and the pure rooms stay pure."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VOCABULARY = frozenset({"config", "errors", "events", "model", "protocol", "settings"})
WINGS = frozenset({"fanout", "gateway", "jetstream"})
COMPOSITION = frozenset({"app", "client", "service"})
PURE = frozenset({"events", "fanout", "model", "protocol"})

# What would bring I/O, waiting or the wall clock into a room that is to have none.
IMPURE = (
    *("asyncio", "nats", "websockets.asyncio", "websockets.sync", "websockets.legacy"),
    *("socket", "socketserver", "ssl", "select", "selectors", "subprocess", "threading"),
    *("multiprocessing", "concurrent", "signal", "http", "urllib", "time", "uvloop", "anyio"),
)
CLOCKS = frozenset({"now", "utcnow", "today"})


def imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """Every module, or name in a module, that `tree` imports, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def faults(path: Path, source: str) -> Iterator[str]:
    """What the file at `path`, relative to the root, does that its room may not."""
    tree = ast.parse(source)
    parts = path.with_suffix("").parts
    if parts[0] != "percolator":
        return
    room = parts[1]
    for name in imports(tree, parts[:-1]):
        yield from (f"imports {name}" for bad in _forbidden(room) if _within(name, bad))
    if room in PURE:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in CLOCKS:
                yield f"reads the clock in line {node.lineno}"


def _forbidden(room: str) -> Iterator[str]:
    yield "percolator_cli"
    yield "tests"
    if room in VOCABULARY:
        yield from (f"percolator.{other}" for other in WINGS | COMPOSITION)
    if room in WINGS:
        yield from (f"percolator.{other}" for other in (WINGS | COMPOSITION) - {room})
    if room in PURE:
        yield from IMPURE


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


SOURCES = [
    path.relative_to(ROOT)
    for folder in ("percolator", "cli")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_file_reaches_up_or_sideways(path: Path) -> None:
    """Each file imports only what its room may know."""
    assert list(faults(path, (ROOT / path).read_text())) == []


def test_the_folder_nats_holds_no_python() -> None:
    """It lies on the path of the client library `nats`: a module in it would shadow the library."""
    inside = list((ROOT / "nats").rglob("*"))
    assert [path.name for path in inside if path.suffix == ".py" or path.is_dir()] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("percolator/fanout/hub.py", "import asyncio"),
        ("percolator/fanout/hub.py", "def f():\n    from asyncio import sleep"),
        ("percolator/fanout/hub.py", "import time"),
        ("percolator/fanout/hub.py", "from ..gateway import http"),
        ("percolator/fanout/hub.py", "from percolator import gateway"),
        ("percolator/fanout/hub.py", "from percolator.service import run"),
        ("percolator/fanout/hub.py", "from datetime import datetime\ndatetime.now()"),
        ("percolator/model/events.py", "import nats.js.api"),
        ("percolator/model/events.py", "from .. import settings, jetstream"),
        ("percolator/protocol.py", "from websockets.asyncio.server import serve"),
        ("percolator/settings.py", "import percolator.service"),
        ("percolator/gateway/http.py", "from percolator.jetstream.feed import Feed"),
        ("percolator/gateway/http.py", "from percolator.fanout.stats import Stats"),
        ("percolator/jetstream/feed.py", "from percolator.gateway import http"),
        ("percolator/jetstream/feed.py", "import percolator.client"),
        ("percolator/service.py", "from percolator_cli import app"),
    ],
)
def test_reaching_up_or_sideways_is_found(path: str, source: str) -> None:
    """The check itself sees each way of importing."""
    assert len(list(faults(Path(path), source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "percolator/fanout/hub.py",
            "from websockets.frames import Frame\nfrom ..events import Trade",
        ),
        (
            "percolator/fanout/hub.py",
            "from .log import ChannelLog\nfrom percolator.fanout import log",
        ),
        ("percolator/gateway/connection.py", "import asyncio\nfrom percolator import protocol"),
        ("percolator/jetstream/feed.py", "import nats\nimport time"),
        (
            "percolator/service.py",
            "from percolator.gateway import http\nimport percolator.jetstream",
        ),
        ("cli/percolator_cli/app.py", "from percolator import service"),
    ],
)
def test_reaching_down_is_allowed(path: str, source: str) -> None:
    """Only what the rooms forbid is found."""
    assert list(faults(Path(path), source)) == []
