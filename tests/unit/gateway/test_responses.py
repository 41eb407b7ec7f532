"""Plain answers: what each says, and that the library can write it."""

import re
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from percolator.gateway import responses


def written(response: Response) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """An answer as it goes over the wire: status line, headers, body."""
    head, _, body = response.serialize().partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b": ")
        assert colon
        assert name not in headers
        headers[name] = value
    return status, headers, body


def test_an_answer_says_how_long_it_is_and_that_it_is_the_last() -> None:
    """Length in bytes; nothing is cached, nothing is guessed from its content."""
    status, headers, body = written(responses.answer(HTTPStatus.OK, "é".encode(), responses.JSON))
    assert (status, body) == (b"HTTP/1.1 200 OK", "é".encode())
    assert headers.pop(b"Date").endswith(b" GMT")
    assert headers == {
        b"Connection": b"close",
        b"Content-Length": b"2",
        b"Content-Type": b"application/json",
        b"Cache-Control": b"no-store",
        b"X-Content-Type-Options": b"nosniff",
    }


def test_an_answer_may_bring_headers_of_its_own() -> None:
    """Beside the others."""
    _, headers, _ = written(responses.answer(HTTPStatus.OK, b"", extra={"Retry-After": "1"}))
    assert headers[b"Retry-After"] == b"1"
    assert headers[b"Content-Length"] == b"0"


@pytest.mark.parametrize(
    ("response", "status", "extra"),
    [
        (responses.not_found(), b"HTTP/1.1 404 Not Found", {}),
        (responses.wrong_method(), b"HTTP/1.1 405 Method Not Allowed", {b"Allow": b"GET"}),
        (responses.too_large(), b"HTTP/1.1 431 Request Header Fields Too Large", {}),
        (responses.too_many_attempts(), b"HTTP/1.1 429 Too Many Requests", {b"Retry-After": b"1"}),
        (responses.malformed(b"x\r\n\r\n"), b"HTTP/1.1 400 Bad Request", {}),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_a_refusal_is_one_sentence(
    response: Response, status: bytes, extra: dict[bytes, bytes]
) -> None:
    """For the person who reads it in a terminal."""
    line, headers, body = written(response)
    assert line == status
    assert headers.items() >= extra.items()
    assert headers[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert re.fullmatch(rb"[A-Z][^\n]+\.\n", body)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"HEAD", b"OPTIONS", b"BREW"])
def test_another_method_is_told_that_only_get_is_served(method: bytes) -> None:
    """The library reads GET alone, and calls everything else malformed."""
    assert responses.malformed(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n").status_code == 405


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        b"post / HTTP/1.1\r\n\r\n",
        b"POST  / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03",
    ],
)
def test_everything_else_is_no_request(head: bytes) -> None:
    """TLS to a port without it, too."""
    assert responses.malformed(head).status_code == 400


@pytest.mark.parametrize(
    ("upgrade", "asks"),
    [
        ([], False),
        (["websocket"], True),
        (["WebSocket"], True),
        (["h2c"], False),
        (["h2c, websocket"], True),
        (["h2c", "websocket"], True),
    ],
)
def test_an_upgrade_is_what_asks_for_a_websocket(upgrade: list[str], asks: bool) -> None:  # noqa: FBT001 - the expected answer
    """Among others, and in any case of letters."""
    headers = Headers([("Upgrade", value) for value in upgrade])
    assert responses.is_upgrade(Request("/", headers)) == asks
