"""The page of the browser client has all that its types say."""

import re

import pytest

from tests.docs.api_browser import TYPES, page

TEXT = TYPES.read_text()
MARKERS = " */"
"""What a line of a comment begins and ends with."""
BODY = TEXT.partition("\n\n")[2]


@pytest.mark.parametrize("name", re.findall(r"^(?:export )?\w+ (\w+)", BODY, re.MULTILINE))
def test_every_name_of_the_types_has_a_section(name: str) -> None:
    """With its code."""
    section = page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert re.search(rf"```ts\n.*\b{name}\b", section)


def test_every_line_of_the_types_is_on_the_page() -> None:
    """Code and comments, in whatever order."""
    shown = {line.strip(MARKERS) for line in page().splitlines()}
    said = [line.strip(MARKERS) for line in BODY.splitlines()]
    assert len(said) > 100
    missing = [line for line in said if line not in shown]
    assert [line for line in missing if not re.match(r"export interface .* {$|}$", line)] == []


@pytest.mark.parametrize("name", ["on", "subscribe", "authenticate", "close", "state"])
def test_every_member_of_a_feed_has_a_part(name: str) -> None:
    """With its declaration and its description."""
    part = page().partition(f"\n### Feed.{name}\n")[2].partition("\n##")[0]
    assert re.fullmatch(rf"(\n```ts\n(readonly )?{name}\b[^`]*```\n\n[A-Z][^#]*)+", part)
