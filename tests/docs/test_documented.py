"""Whatever a person can meet stands in the documentation: in docs/ or the README, on any page."""

import re
from pathlib import Path

import pytest

from percolator.config.settings import Settings
from percolator.model import closes
from percolator_cli.commands import COMMANDS, load
from tests.docs.pages import PAGES, ROOT, everything
from tests.gateway import running

TEXT = everything()
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
FAMILY = re.compile(r"^# TYPE (percolator_\w+) ", re.MULTILINE)


def commands() -> list[str]:
    """Name every command, and of those that hold others, each of them."""
    names = []
    for name in COMMANDS:
        inner = getattr(load(name), "commands", None)
        names += [f"{name} {each}" for each in inner] if inner else [name]
    return names


def anchors(text: str) -> set[str]:
    """Name the headings of a page as links do."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    """By its name, as code."""
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("code", closes.ERRORS)
def test_every_error_code_is_documented(code: str) -> None:
    """In a table of its own."""
    assert f"| `{code}` |" in TEXT


@pytest.mark.parametrize("code", closes.CloseCode)
def test_every_close_code_is_documented(code: closes.CloseCode) -> None:
    """In a table of its own."""
    assert re.search(rf"^\| {code.value} \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command: str) -> None:
    """As one would type it."""
    assert re.search(rf"\bpercolator {command}\b", TEXT)


async def test_every_route_and_metric_is_documented(nats_url: str, stream_name: str) -> None:
    """As a running gateway has them."""
    async with running(nats_url, stream_name) as gateway:
        named = {*(route.path for route in gateway.service.routes.table), "/"}
        _, _, shown = await gateway.get("/metrics")
    assert {path for path in named if f"`{path}`" not in TEXT} == set()
    families = set(FAMILY.findall(shown.decode()))
    assert families
    assert {name for name in families if name not in TEXT} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading in it."""
    for target, anchor in LINK.findall(page.read_text()):
        file = page.parent / target if target else page
        if ":" not in target:
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text()), (target, anchor)
