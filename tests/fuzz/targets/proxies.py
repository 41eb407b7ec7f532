"""PROXY headers before a request: whole, in pieces, changed, cut off, or none at all."""

import asyncio
from ipaddress import ip_address

from hypothesis import strategies as st

from percolator.gateway.proxy_header import ProxyHeaderError, header_length, source
from tests import proxy_headers
from tests.fuzz.bench import ANSWER, Bench
from tests.fuzz.targets.hello import PATIENCE, exchange
from tests.fuzz.targets.target import cuts, mostly, pieces
from tests.gateway import eventually
from tests.proxy_headers import v1, v2, v2_of

REQUEST = b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n"

addresses = st.ip_addresses().map(str)
words = st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "::1", "0", "65536", "", "\r"])
bytes_ = mostly(st.sampled_from([0x11, 0x21]), st.integers(0, 255))
headers = st.one_of(
    st.builds(v1, addresses),
    st.builds(v2, addresses, st.binary(max_size=60)),
    st.sampled_from([*proxy_headers.OWN.values(), *proxy_headers.INVALID.values()]),
    st.builds(
        lambda parts: " ".join(["PROXY", *parts]).encode("utf-8", "surrogatepass") + b"\r\n",
        st.lists(mostly(words, st.text(max_size=40)), max_size=7),
    ),
    st.builds(v2_of, bytes_, bytes_, st.binary()),
    st.binary(max_size=150),
)


def _changed(header: bytes, start: int, removed: int, inserted: bytes) -> bytes:
    return header[:start] + inserted + header[start + removed :]


changes = st.builds(_changed, headers, st.integers(0, 60), st.integers(0, 3), st.binary(max_size=3))
examples = st.tuples(mostly(headers, changes), cuts)


def check_proxy(example: tuple[bytes, list[int]]) -> None:
    """Expect the answer to what follows a valid header, silence without one; nothing is left."""
    data, at = example
    data += REQUEST
    length = _length(data)
    received = asyncio.run(_received(pieces(data, at)))
    if length is None:
        assert received == b""
    elif data[length:] == REQUEST:
        assert received.startswith(ANSWER + b"404 "), received
    else:
        assert received[: len(ANSWER)] in (b"", ANSWER), received


def _length(data: bytes) -> int | None:
    """Return the length of the header, None if it is not valid; each prefix must agree."""
    try:
        length = header_length(data)
        if length is None:
            return None
        client = source(data[:length])
    except ProxyHeaderError:
        return None
    assert {header_length(data[:end]) for end in range(length)} == {None}
    if client is not None:
        ip_address(client)
    return length


async def _received(parts: list[bytes]) -> bytes:
    """Return what the gateway sends to a trusted proxy that sends these pieces."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    bench = Bench(trusted_proxies="127.0.0.1", proxy_protocol=True)
    with bench.faults.watched():
        _, port = await bench.gateway.start("127.0.0.1", 0)
        try:
            async with asyncio.timeout(PATIENCE):
                received = await exchange(port, parts)
            await eventually(lambda: not len(bench.gateway.sockets))
        finally:
            await bench.gateway.stop(0)
    bench.check()
    assert not faults, faults
    return received
