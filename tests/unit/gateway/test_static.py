"""Files for browsers: complete, with types, a security policy and caching."""

import re

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from percolator.gateway import static


def get(path: str, **headers: str) -> Response | None:
    """Request a path."""
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return static.find(Request(path, fields), path)


def body(path: str) -> str:
    """Return the text of a file."""
    return static.served()[path].body.decode()


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/percolator.js", "text/javascript; charset=utf-8"),
        ("/percolator.d.ts", "text/plain; charset=utf-8"),
        ("/percolator/connection.js", "text/javascript; charset=utf-8"),
        ("/dashboard/dashboard.css", "text/css; charset=utf-8"),
        ("/dashboard/percolator.svg", "image/svg+xml"),
    ],
)
def test_each_file_has_its_type(path: str, content_type: str) -> None:
    """Browsers reject scripts and styles of another type."""
    answer = get(path)
    assert answer is not None
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize(
    "path",
    [
        *("/index.html", "/dashboard", "/dashboard/", "/../static.py", "//", "", "/web/index.html"),
        *("/package.json", "/LICENSE"),
    ],
)
def test_no_other_path_is_served(path: str) -> None:
    """A path is looked up, never joined to a folder."""
    assert get(path) is None


def test_every_file_has_the_security_policy() -> None:
    """Only the gateway's own files may load, and text cannot become markup."""
    for file in static.served().values():
        policy = file.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in file.headers["Content-Security-Policy"]


def test_a_browser_that_has_the_file_gets_304() -> None:
    """Without a body or its length."""
    first = get("/percolator.js")
    assert first is not None
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    again = get("/percolator.js", If_None_Match=f'W/"other", {tag}')
    assert again is not None
    assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert "Content-Length" not in again.headers
    other = get("/percolator.js", If_None_Match='"other"')
    assert other is not None
    assert other.status_code == 200


def test_pages_of_other_origins_may_load_the_client_and_nothing_else() -> None:
    """Applications import the client from the gateway; the dashboard is not shared."""
    for path, file in static.served().items():
        shared = file.headers.get("Access-Control-Allow-Origin") == "*"
        assert shared is path.startswith("/percolator"), path


def test_everything_that_the_page_and_the_scripts_load_is_served() -> None:
    """Every link and import leads to a file of the gateway."""
    links = re.findall(r'(?:href|src)="([^"#]+)"', body("/"))
    assert len(links) >= 4
    assert {f"/{link}" for link in links} <= set(static.served())
    for path in [path for path in static.served() if path.endswith(".js")]:
        for name in re.findall(r'^import .* from "(.+)";$', body(path), re.MULTILINE):
            folder = path.rpartition("/")[0]
            target = re.sub(r"/\w+/\.\./", "/", f"{folder}/{name}".replace("/./", "/"))
            assert target in static.served(), (path, name)


def test_no_script_makes_markup_out_of_text() -> None:
    """Event data goes into text nodes and properties only."""
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|DOMParser")
    for path, file in static.served().items():
        assert not sinks.search(file.body.decode()), path
