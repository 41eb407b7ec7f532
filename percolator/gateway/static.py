"""The files for browsers: the dashboard at `/`, the client at `/percolator.js`, and what they load.

They are read once, out of the package, and served as they are. What is dynamic is no business of
this room: pages ask the other routes.
"""

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from websockets.http11 import Request, Response

from percolator.gateway import responses

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": responses.TEXT,
}
"""What is served, by the end of its name; a file of another kind is not."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; "  # a socket to the page's own origin is 'self' too
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # no text can become markup
)
CLIENT = "/percolator"
"""What pages of other origins may load too: the client and its parts."""


class File(NamedTuple):
    """One file, ready to be served."""

    body: bytes
    headers: dict[str, str]
    content_type: str


def find(request: Request, path: str) -> Response | None:
    """Answer with the file at a path, or with 304 where the browser has it; None: no such file."""
    file = served().get(path)
    if file is None:
        return None
    if file.headers["ETag"] in ",".join(request.headers.get_all("If-None-Match")):
        unchanged = responses.answer(HTTPStatus.NOT_MODIFIED, b"", file.content_type, file.headers)
        del unchanged.headers["Content-Length"]  # it would be the file's
        return unchanged
    return responses.answer(HTTPStatus.OK, file.body, file.content_type, file.headers)


@cache
def served() -> dict[str, File]:
    """Give every file by its path; the dashboard stands at `/`."""
    found: dict[str, File] = {}
    _gather(files("percolator.gateway").joinpath("web"), "", found)
    found["/"] = found.pop("/index.html")
    return found


def _gather(folder: Traversable, path: str, found: dict[str, File]) -> None:
    for entry in folder.iterdir():
        here = f"{path}/{entry.name}"
        _, dot, suffix = entry.name.rpartition(".")
        if entry.is_dir():
            _gather(entry, here, found)
        elif dot + suffix in TYPES:
            body = entry.read_bytes()
            found[here] = File(body, _headers(here, body), TYPES[dot + suffix])


def _headers(path: str, body: bytes) -> dict[str, str]:
    """A browser keeps the file, and asks each time whether it is still the same."""
    headers = {
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
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
