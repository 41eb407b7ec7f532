"""The house keeps its rooms: the tree in docs/architecture.md says what each may import."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TREE = (
    (ROOT / "docs" / "architecture.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]
)
ROOM = re.compile(r"^ +(?P<name>[\w/]+(?:/|\.py)) +(?P<pure>pure )? *<-(?P<rest>.*)$", re.MULTILINE)

# What would bring I/O, waiting or the wall clock into a pure room.
IMPURE = (
    *("asyncio", "nats", "websockets.asyncio", "websockets.sync", "websockets.legacy"),
    *("socket", "socketserver", "ssl", "select", "selectors", "subprocess", "threading"),
    *("multiprocessing", "concurrent", "signal", "http", "urllib", "time", "uvloop", "anyio"),
    *("io", "os", "pathlib", "shutil", "tempfile", "queue", "sched"),
    "importlib",  # would import what the tree does not allow
)
CLOCKS = frozenset({"now", "utcnow", "today"})
TOP = {"percolator": "percolator", "percolator_cli": "cli"}


class Room(NamedTuple):
    """A room of the tree: the rooms that it may import, and whether it is pure."""

    imports: frozenset[str]
    pure: bool


FRONT = Room(frozenset(), pure=True)
"""`percolator/__init__.py`, which every import of a room runs first: it may import no room."""


def rooms() -> dict[str, Room]:
    """Read the tree. Words after the last room that a line names are the description."""
    found = {row["name"].removesuffix("/").removesuffix(".py"): row for row in ROOM.finditer(TREE)}
    found["cli"] = found.pop("cli/percolator_cli")
    known = {*found, "percolator"}
    tree = {}
    for name, row in found.items():
        words = row["rest"].split("  ")[0].split()
        assert set(words) <= known, (name, set(words) - known)
        imports = {"percolator", *found} if "percolator" in words else {*words}
        tree[name] = Room(frozenset({*imports, name}), bool(row["pure"]))
    return tree


ROOMS = rooms()


def room_of(module: str) -> str | None:
    """Name the room of a module of ours; None for another's."""
    top, *below = module.split(".")
    if top == "percolator" and below and below[0] in ROOMS:
        return below[0]
    return TOP.get(top)


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
    package = parts[1:-1] if parts[0] == "cli" else parts[:-1]
    name = "cli" if parts[0] == "cli" else parts[1]
    room = FRONT if name == "__init__" else ROOMS.get(name)
    if room is None:
        yield f"{name} is not in the tree"
        return
    for module in imports(tree, package):
        if module.partition(".")[0] == "tests":
            yield f"imports {module}"
        other = room_of(module)
        if other is not None and other not in room.imports and not _is_version(module):
            yield f"imports {module}"
        if room.pure and any(module == bad or module.startswith(f"{bad}.") for bad in IMPURE):
            yield f"imports {module}"
    if room.pure:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in CLOCKS:
                yield f"reads the clock in line {node.lineno}"
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "open":
                yield f"opens a file in line {node.lineno}"


def _is_version(module: str) -> bool:
    return module in ("percolator.__version__", "percolator")


SOURCES = {
    path.relative_to(ROOT): path.read_text()
    for folder in ("percolator", "cli")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    """The list is what is allowed: an import that is not listed fails."""
    assert list(faults(path, SOURCES[path])) == []


def test_every_room_of_the_tree_is_there() -> None:
    """A room that was moved or removed leaves the tree too."""
    here = {path.parts[1].removesuffix(".py") for path in SOURCES if path.parts[0] == "percolator"}
    assert {*ROOMS} - {"cli"} == here - {"__init__"}


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not even for types: what two files need of each other belongs in one, or in a third."""
    graph = imports_of({_module(path): source for path, source in SOURCES.items()})
    TopologicalSorter(graph).prepare()


def test_a_circle_is_found() -> None:
    """Through any number of files, and under TYPE_CHECKING."""
    sources = {
        "percolator.a": "from percolator.b import x",
        "percolator.b": "import percolator.c",
        "percolator.c": "if TYPE_CHECKING:\n    from percolator import a",
    }
    with pytest.raises(CycleError):
        TopologicalSorter(imports_of(sources)).prepare()


def test_a_circle_through_a_package_is_found() -> None:
    """What a package imports in its __init__ is imported by all that name the package."""
    sources = {
        "percolator.a": "from .b import x",
        "percolator.a.b": "from percolator import a",
    }
    with pytest.raises(CycleError):
        TopologicalSorter(imports_of(sources)).prepare()


def imports_of(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the modules of ours that each of these modules imports."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        parts = module.split(".")
        is_package = any(other.startswith(f"{module}.") for other in sources)
        package = tuple(parts if is_package else parts[:-1])
        named = imports(ast.parse(source), package)
        ours = {name if name in sources else name.rpartition(".")[0] for name in named}
        graph[module] = {name for name in ours if name in sources} - {module}
    return graph


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "cli" else parts).removesuffix(".__init__")


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
        ("percolator/fanout/hub.py", "from ..gateway import responses"),
        ("percolator/fanout/hub.py", "from percolator import gateway"),
        ("percolator/fanout/hub.py", "from percolator.app.service import Service"),
        ("percolator/fanout/hub.py", "from percolator.app import replayer"),
        ("percolator/fanout/hub.py", "import percolator.logs"),
        ("percolator/fanout/hub.py", "from datetime import datetime\ndatetime.now()"),
        ("percolator/config/types.py", "from percolator.gateway import addresses"),
        ("percolator/config/settings.py", "import percolator.app.service"),
        ("percolator/model/events.py", "import asyncio"),
        ("percolator/model/events.py", "import nats.js.api"),
        ("percolator/model/events.py", "from .. import jetstream"),
        ("percolator/model/messages.py", "from websockets.asyncio.server import serve"),
        ("percolator/stats.py", "import time"),
        ("percolator/stats.py", "import os.path"),
        ("percolator/stats.py", "from pathlib import Path"),
        ("percolator/stats.py", "open('figures')"),
        ("percolator/stats.py", "import importlib"),
        ("percolator/__init__.py", "from percolator.app.service import Service"),
        ("percolator/__init__.py", "import asyncio"),
        ("percolator/gateway/responses.py", "from percolator.jetstream.feed import Feed"),
        ("percolator/gateway/responses.py", "from percolator.fanout.hub import Hub"),
        ("percolator/jetstream/feed.py", "from percolator.gateway import responses"),
        ("percolator/jetstream/feed.py", "import percolator.client"),
        ("percolator/client/feed.py", "from percolator.config.settings import load"),
        ("percolator/app/service.py", "from percolator_cli import app"),
        ("percolator/app/service.py", "from tests.gateway import running"),
        ("percolator/helpers.py", "import re"),
        ("percolator/common/text.py", "import re"),
    ],
)
def test_an_import_that_is_not_allowed_is_found(path: str, source: str) -> None:
    """The check itself sees each way of importing, and a room that is not in the tree."""
    assert len(list(faults(Path(path), source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "percolator/fanout/hub.py",
            "from websockets.frames import Frame\nfrom ..model.kinds import Trade",
        ),
        (
            "percolator/fanout/hub.py",
            "from .log import ChannelLog\nfrom percolator.fanout import log",
        ),
        ("percolator/gateway/connection.py", "import asyncio\nfrom percolator.model import closes"),
        ("percolator/jetstream/feed.py", "import nats\nimport time"),
        (
            "percolator/app/service.py",
            "from percolator.gateway import responses\nimport percolator.jetstream",
        ),
        ("percolator/app/metrics.py", "from percolator import __version__"),
        ("cli/percolator_cli/app.py", "from percolator.app import service"),
    ],
)
def test_an_import_that_is_allowed_is_not_a_fault(path: str, source: str) -> None:
    """Only what the tree forbids is found."""
    assert list(faults(Path(path), source)) == []
