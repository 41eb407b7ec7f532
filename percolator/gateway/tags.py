"""Entity tags: an answer that the client has already is not sent again."""

import hashlib
from http import HTTPStatus

from websockets.http11 import Response

from percolator.gateway import responses


def tag_of(body: bytes) -> str:
    """Return the ETag of a body: a strong one, of its content."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def tagged(body: bytes, content_type: str, headers: dict[str, str], if_none_match: str) -> Response:
    """Return a body, or 304 if the header If-None-Match has its tag; `headers` contain ETag."""
    known = if_none_match.strip() == "*" or headers["ETag"] in if_none_match
    if not known:
        return responses.answer(HTTPStatus.OK, body, content_type, headers)
    unchanged = responses.answer(HTTPStatus.NOT_MODIFIED, b"", content_type, headers)
    del unchanged.headers["Content-Length"]  # it would be the body's
    return unchanged
