"""Every example in the README and in docs/ is valid: commands parse, and so do messages.

In a message, `N`, `M` and `…` stand for a number or a list; such a message is checked too.
"""

import ast
import inspect
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from percolator import client
from percolator.errors import EventError
from percolator.model import commands, events
from percolator.model.channel import Channel
from percolator.model.queries import INTERVALS
from percolator.model.rejection import Rejection, reject
from percolator.projections.intervals import read
from percolator_cli.commands import root
from tests.channels import KIND_NAMES, decode, subject_of
from tests.docs.pages import blocks, lines
from tests.docs.schema import fits
from tests.docs.test_asyncapi import DOCUMENT, names_of, payload
from tests.docs.typescript import LANGUAGES

COMMAND = re.compile(r"(?:.*\| )?percolator (?!\w*\.)(?P<rest>(?!is ready| )\S.*)")
MESSAGE = re.compile(r"(?:> )?(?:(?P<subject>percolator\.\S+) +)?(?P<json>\{\".*)")
FROM_CLIENT = {"subscribe", "unsubscribe", "ping", "auth"}

TYPED = [each for each in lines() if COMMAND.fullmatch(each[1]) and "[OPTIONS]" not in each[1]]
WRITTEN = [each for each in lines() if MESSAGE.fullmatch(each[1])]
CODE = [block for block in blocks() if block.language in ("python", "toml", "json")]


def filled(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse the JSON that a line begins with, with a value for each placeholder."""
    for place, value in (("[…]", "[]"), ('"code":"…"', '"code":"unknown_type"')):
        text = text.replace(place, value)
    text = re.sub(r'":(?:…|[NM]\b)', '":1', text)
    return json.JSONDecoder().raw_decode(text)[0]


def rejection(reason: str) -> Rejection:
    """Reject an event for one of the known reasons."""
    assert reason in events.REASONS
    error = EventError(reason, "")
    return reject(error, epoch="", seq=0, subject="", message_id="", payload=b"", time=0)


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_a_command_in_the_documentation_parses(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its options, by the program's own parser; the files that it names exist."""
    monkeypatch.chdir(tmp_path)
    match = COMMAND.fullmatch(line)
    assert match, page
    words = shlex.split(match["rest"], comments=True)
    for word in words:
        if re.fullmatch(r"\w+\.\w+", word) and not word[0].isdigit():
            (tmp_path / word).touch()
    command, context = root(), None
    while hasattr(command, "resolve_command"):
        context = command.make_context("percolator", list(words[:0]), resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
    assert command, page
    command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize(("page", "line"), WRITTEN)
def test_a_message_in_the_documentation_is_valid(page: str, line: str) -> None:
    """An event decodes, a client's message parses, and a gateway's message fits its schema.

    The rows of history are as the messages.
    """
    match = MESSAGE.fullmatch(line)
    assert match, page
    message = filled(match["json"])
    if match["subject"] or "event" in message:
        kind = message.get("event", "price.updated").partition(".")[0]
        subject = match["subject"] or subject_of(kind, message["slabAddress"])
        assert decode(subject, json.dumps(message).encode()).type in KIND_NAMES
    elif "channel" in message and "events" in message:
        kind = Channel.parse(message["channel"]).kind.name  # type: ignore[union-attr]
        for row in message["events"]:
            event = {"type": kind, "slab": message["slab"], **row}
            assert fits(event, payload(kind), DOCUMENT)
    elif "candles" in message:
        assert message["interval"] in INTERVALS
        for row in message["candles"]:
            assert read(json.dumps({"type": "candle", **row}).encode())
    elif "reason" in message:
        assert list(message) == list(json.loads(rejection(message["reason"]).json))
    elif message["type"] in FROM_CLIENT:
        command = commands.parse(json.dumps(message).encode())
        assert not getattr(command, "errors", ())
    else:
        assert message["type"] in names_of("toClient")
        assert fits(message, payload(message["type"]), DOCUMENT)


def test_the_documentation_has_examples_of_each_kind() -> None:
    """So a fault in the search for examples cannot make these tests pass."""
    assert {"README.md", "docs/quickstart.md"} <= {page for page, _ in TYPED}
    kinds = {filled(line[line.index("{") :]).get("type") for _, line in WRITTEN}
    assert {*FROM_CLIENT, *names_of("toClient")} <= kinds


@pytest.mark.parametrize("block", CODE, ids=lambda block: f"{block.page}:{block.language}")
def test_code_in_the_documentation_parses(block: Any) -> None:  # noqa: ANN401 - a Block
    """As Python, TOML or JSON."""
    reads: dict[str, Callable[[str], object]] = {
        "python": ast.parse,
        "toml": tomllib.loads,
        "json": json.loads,
    }
    assert reads[block.language](block.text) is not None


def test_every_block_of_code_has_a_test() -> None:
    """Here, in `test_typescript`, or of a whole: a page in Chromium, another program's settings.

    Go and Rust are not part of the tests' environment: run these examples by hand.
    """
    elsewhere = {"html", "haproxy", "nginx", "yaml", "text", "", "go", "rust"}
    here = {"python", "toml", "json"}
    assert {block.language for block in blocks()} <= {*here, *LANGUAGES, *elsewhere}


def test_the_example_of_the_python_client_compiles() -> None:
    """As the body of a coroutine."""
    _, _, rest = (inspect.getdoc(client) or "").partition("\n\n")
    indented = [line for line in rest.splitlines() if line.startswith("    ") or not line]
    body = textwrap.indent(textwrap.dedent("\n".join(indented)), "    ")
    assert "async for" in body
    assert ast.parse(f"async def example():\n{body}").body
