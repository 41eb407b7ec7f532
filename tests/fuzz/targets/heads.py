"""The head of an HTTP request."""

from http import HTTPStatus

from hypothesis import strategies as st

from tests.client import upgrade
from tests.fuzz.bench import Bench
from tests.fuzz.targets.target import bench_of, end_by_sweep, mostly, pieces

STATUSES = frozenset({0, 101, 200, 204, 400, 401, 404, 405, 426, 429, 431})

tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
header_names = st.sampled_from(
    [
        *("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"),
        *("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin", "X-Forwarded-For"),
        *("Authorization", "Content-Length", "Transfer-Encoding", "If-None-Match", "Expect"),
    ]
)
header_values = st.sampled_from(
    [
        *("", "websocket", "Upgrade", "13", "AAAAAAAAAAAAAAAAAAAAAA==", "percolator.v1"),
        *("*", "1", "chunked", "::1", ","),
    ]
) | st.text(max_size=30)
paths = st.sampled_from(
    [
        *("/", "/ws", "/ws/", "//", "/ws/stats", "/metrics", "/markets", "/markets/SOL", "*"),
        *("http://x/", "ws://x/ws"),
    ]
) | st.builds("/{}?token={}".format, tokens, st.text(max_size=20))
request_lines = st.builds(
    "{} {} {}".format,
    mostly(st.sampled_from(["GET", "GET", "HEAD", "OPTIONS"]), tokens),
    mostly(paths, st.text(max_size=40)),
    mostly(st.just("HTTP/1.1"), st.sampled_from(["HTTP/1.0", "HTTP/2", "HTP/1.1", ""])),
)
header_lines = st.builds("{}: {}".format, mostly(header_names, tokens), header_values)


def _assemble(line: str, headers: list[str], ending: bytes) -> bytes:
    text = "\r\n".join([line, *headers])
    return text.encode("utf-8", "surrogatepass") + ending


heads = (
    st.builds(
        _assemble,
        request_lines,
        st.lists(mostly(header_lines, st.text(max_size=40)), max_size=8),
        mostly(st.just(b"\r\n\r\n"), st.binary(max_size=8)),
    )
    | st.builds(lambda junk: upgrade() + junk, st.binary(max_size=40))
    | st.binary(max_size=200)
    | st.builds(lambda byte: byte * 9_000, st.binary(min_size=1, max_size=1))
)


def check_head(example: tuple[bytes, list[int]]) -> None:
    """Expect a complete, known response, or a wait that the sweep ends; never a traceback."""
    with bench_of("head") as bench:
        _check_head(bench, *example)


def _check_head(bench: Bench, data: bytes, at: list[int]) -> None:
    bench.now += 60
    client = bench.connect()
    for piece in pieces(data, at):
        client.send(piece)
    assert client.status in STATUSES, client.head
    if client.head and not client.is_upgraded:
        lengths = [
            int(line.split()[1])
            for line in client.head.split(b"\r\n")
            if line.startswith(b"Content-Length:")
        ]
        assert len(lengths) == (client.status != HTTPStatus.NO_CONTENT)
        assert len(client.body) == (0 if data.startswith(b"HEAD ") else sum(lengths))
    end_by_sweep(bench, client)
    bench.admission.sweep()
