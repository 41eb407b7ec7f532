"""`docs/api-browser.md`: the page of the browser client's names, from its `percolator.d.ts`."""

import re
import textwrap
from collections.abc import Iterator

from tests.docs.pages import ROOT

TYPES = ROOT / "percolator" / "gateway" / "web" / "percolator.d.ts"
HEAD = """# The browser client

Every name of `percolator.js` and of the npm package `percolator-client`, from its types.
[Clients](clients.md#in-a-page) shows how to use it. A program can import the names that have
`export`.
"""
FIRST = ("connect", "Feed", "Subscription")
STATEMENT = re.compile(r"(?:/\*\*(?P<doc>.*?)\*/\n)?(?P<code>\S.*)", re.DOTALL)
NAME = re.compile(r"(?:export )?(?P<word>function|interface|type) (?P<name>\w+)")
MEMBER = re.compile(
    r"^(?:/\*\*(?P<doc>(?:(?!\*/).)*)\*/\n)?(?P<code>(?:readonly )?(?P<name>\w+)\b.*?;)$",
    re.DOTALL | re.MULTILINE,
)


def page() -> str:
    """Write the page."""
    sections = dict(_sections())
    names = [*FIRST, *(name for name in sections if name not in FIRST)]
    return "\n".join([HEAD, *(sections[name] for name in names)])


def _sections() -> Iterator[tuple[str, str]]:
    """Yield each name with its section. A blank line and no indent is between statements."""
    _, *statements = re.split(r"\n\n(?=\S)", TYPES.read_text().rstrip())
    for each in statements:
        statement = STATEMENT.fullmatch(each)
        assert statement, each
        named = NAME.match(statement["code"])
        assert named, each
        yield named["name"], "\n".join(_section(named["name"], statement))


def _section(name: str, statement: re.Match[str]) -> Iterator[str]:
    """Write a statement; the members of an interface with methods have parts of their own."""
    head, _, body = statement["code"].partition("{\n")
    body = textwrap.dedent(body.removesuffix("}"))
    has_methods = "interface " in head and re.search(r"^\w+\(", body, re.MULTILINE)
    yield f"## {name}\n"
    yield _code(f"{head}{{ … }}" if has_methods else statement["code"])
    yield from _text(statement["doc"])
    last = ""
    for member in MEMBER.finditer(body) if has_methods else ():
        if member["name"] != last:
            yield f"### {name}.{member['name']}\n"
        last = member["name"]
        yield _code(member["code"])
        yield from _text(member["doc"])


def _text(doc: str | None) -> Iterator[str]:
    if doc:
        yield re.sub(r"^ *\* ?", "", doc.strip(), flags=re.MULTILINE) + "\n"


def _code(text: str) -> str:
    return f"```ts\n{text}\n```\n"
