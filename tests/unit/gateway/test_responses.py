"""HTTP responses: what each says, in a form that the library can serialize."""

import re
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from percolator.gateway import responses
from tests.proxy_headers import v1, v2


def written(response: Response) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Return a response as sent: status line, headers, body."""
    head, _, body = response.serialize().partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b": ")
        assert colon
        assert name not in headers
        headers[name] = value
    return status, headers, body


def test_a_response_has_its_length_and_closes_the_connection() -> None:
    """The length is in bytes; nothing is cached, and no type is guessed."""
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


def test_a_response_may_have_extra_headers() -> None:
    """In addition to the usual ones."""
    _, headers, _ = written(responses.answer(HTTPStatus.OK, b"", extra={"Retry-After": "1"}))
    assert headers[b"Retry-After"] == b"1"
    assert headers[b"Content-Length"] == b"0"


@pytest.mark.parametrize(
    ("response", "status", "extra"),
    [
        (responses.not_found(), b"HTTP/1.1 404 Not Found", {}),
        (
            responses.wrong_method(),
            b"HTTP/1.1 405 Method Not Allowed",
            {b"Allow": b"GET, HEAD, OPTIONS"},
        ),
        (responses.too_large(), b"HTTP/1.1 431 Request Header Fields Too Large", {}),
        (responses.too_many_attempts(), b"HTTP/1.1 429 Too Many Requests", {b"Retry-After": b"1"}),
        (responses.too_many_requests(), b"HTTP/1.1 429 Too Many Requests", {b"Retry-After": b"1"}),
        (responses.too_much_unread(), b"HTTP/1.1 503 Service Unavailable", {b"Retry-After": b"1"}),
        (
            responses.too_many_wrong_tokens(),
            b"HTTP/1.1 429 Too Many Requests",
            {b"Retry-After": b"1"},
        ),
        (
            responses.upgrade_required(),
            b"HTTP/1.1 426 Upgrade Required",
            {b"Upgrade": b"websocket", b"Connection": b"close, Upgrade"},
        ),
        (responses.foreign_host(), b"HTTP/1.1 421 Misdirected Request", {}),
        (responses.malformed(b"x\r\n\r\n"), b"HTTP/1.1 400 Bad Request", {}),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_a_refusal_is_one_sentence(
    response: Response, status: bytes, extra: dict[bytes, bytes]
) -> None:
    """For people who read it in a terminal."""
    line, headers, body = written(response)
    assert line == status
    assert headers.items() >= extra.items()
    assert headers[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert re.fullmatch(rb"[A-Z][^\n]+\.\n", body)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"TRACE", b"BREW"])
def test_another_method_is_answered_with_405(method: bytes) -> None:
    """Even if the library cannot parse the head."""
    assert responses.malformed(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n").status_code == 405


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        b"post / HTTP/1.1\r\n\r\n",
        b"POST  / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03",
    ],
)
def test_a_malformed_request_is_answered_with_400(head: bytes) -> None:
    """So is TLS on a port without TLS."""
    assert responses.malformed(head).status_code == 400


@pytest.mark.parametrize("header", [v1("203.0.113.7"), v2("203.0.113.7")])
def test_the_answer_to_a_proxy_header_names_the_settings(header: bytes) -> None:
    """It came from an untrusted peer, or twice, or without the setting."""
    answer = responses.malformed(header)
    assert answer.status_code == 400
    assert b"proxy_protocol, once, and from trusted_proxies" in answer.body


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
def test_a_request_is_an_upgrade_if_it_asks_for_a_websocket(upgrade: list[str], asks: bool) -> None:  # noqa: FBT001 - the expected answer
    """In any letter case, and among other protocols."""
    headers = Headers([("Upgrade", value) for value in upgrade])
    assert responses.is_upgrade(Request("/", headers)) == asks
    assert not responses.is_upgrade(Request("/", headers, "HEAD"))


def test_the_answer_to_options_has_no_content() -> None:
    """So it has neither a length nor a type."""
    line, headers, body = written(responses.allowed_methods())
    assert (line, body) == (b"HTTP/1.1 204 No Content", b"")
    assert headers[b"Allow"] == b"GET, HEAD, OPTIONS"
    assert headers.keys().isdisjoint({b"Content-Length", b"Content-Type"})


def test_a_response_to_head_ends_before_its_body() -> None:
    """The headers are those of the answer to GET."""
    response = responses.not_found()
    whole = responses.written(response, b"GET / HTTP/1.1\r\n\r\n")
    head = responses.written(response, b"HEAD / HTTP/1.1\r\n\r\n")
    assert head + response.body == whole == response.serialize()
    assert responses.written(response, b"HEADS / HTTP/1.1\r\n\r\n") == whole
