"""The files for browsers: the dashboard at `/`, the client at `/percolator.js`, and what they load.

They are read once from the package and served unchanged; pages get dynamic data from other routes.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from websockets.http11 import Request, Response

from percolator.gateway import responses
from percolator.gateway.tags import tag_of, tagged

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": responses.TEXT,
}
"""Content types by suffix; files with other suffixes are not served."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; "  # includes WebSockets to the same origin
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # text cannot become markup
)
CLIENT = "/percolator"
"""Prefix of the files that pages of other origins may load: the client and its parts."""


class File(NamedTuple):
    """One file, ready to serve."""

    body: bytes
    headers: dict[str, str]
    content_type: str


def find(request: Request, path: str) -> Response | None:
    """Return the file at a path, or 304 if the browser has it; None if there is no such file."""
    file = served().get(path)
    if file is None:
        return None
    if_none_match = ",".join(request.headers.get_all("If-None-Match"))
    return tagged(file.body, file.content_type, file.headers, if_none_match)


@cache
def served() -> dict[str, File]:
    """Return all files by path; the dashboard is at `/`."""
    found: dict[str, File] = {}
    _collect(files("percolator.gateway").joinpath("web"), "", found)
    found["/"] = found.pop("/index.html")
    return found


def _collect(folder: Traversable, path: str, found: dict[str, File]) -> None:
    for entry in folder.iterdir():
        at = f"{path}/{entry.name}"
        _, dot, suffix = entry.name.rpartition(".")
        if entry.is_dir():
            _collect(entry, at, found)
        elif dot + suffix in TYPES:
            body = entry.read_bytes()
            found[at] = File(body, _headers(at, body), TYPES[dot + suffix])


def _headers(path: str, body: bytes) -> dict[str, str]:
    """Return headers that make a browser keep the file and revalidate it each time."""
    headers = {
        "Cache-Control": "no-cache",
        "ETag": tag_of(body),
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if path.startswith(CLIENT):
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        headers["Access-Control-Allow-Origin"] = "*"
    return headers
