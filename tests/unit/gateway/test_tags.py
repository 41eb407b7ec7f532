"""Entity tags: when a body is sent again, and when it is not."""

import pytest

from percolator.gateway.tags import tag_of, tagged

BODY = b'{"rows":[]}'
HEADERS = {"ETag": tag_of(BODY), "Cache-Control": "no-cache"}


@pytest.mark.parametrize(
    "if_none_match", [tag_of(BODY), f"W/{tag_of(BODY)}", f'"x", {tag_of(BODY)}', "*", " * "]
)
def test_a_body_that_the_client_has_is_not_sent(if_none_match: str) -> None:
    """The answer is 304, with the headers of the body, but without its length."""
    response = tagged(BODY, "application/json", HEADERS, if_none_match)
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["ETag"] == tag_of(BODY)
    assert "Content-Length" not in response.headers


@pytest.mark.parametrize("if_none_match", ["", '"x"', tag_of(BODY)[:-2], tag_of(b"other"), "**"])
def test_another_body_is_sent(if_none_match: str) -> None:
    """With its tag."""
    response = tagged(BODY, "application/json", HEADERS, if_none_match)
    assert (response.status_code, response.body) == (200, BODY)
    assert response.headers["ETag"] == HEADERS["ETag"]
