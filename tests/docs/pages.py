"""The documentation pages and the code blocks in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block; `language` is empty if the block is indented or does not name it."""

    page: str
    language: str
    text: str


def everything() -> str:
    """Return the text of all pages."""
    return "\n".join(page.read_text() for page in PAGES)


def blocks() -> Iterator[Block]:
    """Yield the code blocks of every page, fenced ones first."""
    for page in PAGES:
        name, text = str(page.relative_to(ROOT)), page.read_text()
        for language, code in FENCE.findall(text):
            yield Block(name, language, code)
        rest = FENCE.sub("", text)
        lines = [line[4:] for line in rest.splitlines() if line.startswith("    ")]
        yield Block(name, "", "\n".join(lines))


def lines() -> Iterator[tuple[str, str]]:
    """Yield (page, line) for each line of a block in no language, shell or JSON."""
    for block in blocks():
        if block.language in ("", "sh", "shell", "console", "json"):
            for line in block.text.splitlines():
                yield block.page, line.strip()
