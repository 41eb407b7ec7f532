"""The beginning of TLS: a ClientHello in pieces, cut off, and with garbage in it.

A port with TLS gets it through real sockets; a port without TLS gets it as a request head.
"""

import asyncio
import ssl
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from percolator.gateway.tls import Certificate
from tests.certificates import Authority
from tests.fuzz.bench import Bench
from tests.fuzz.targets.heads import check_head
from tests.fuzz.targets.target import cuts, mostly, pieces
from tests.gateway import eventually

PATIENCE = 20.0
HANDSHAKE, ALERT = 0x16, 0x15
"""Types of TLS records."""


def _hello() -> bytes:
    """Return the first bytes of a TLS client."""
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), out, server_hostname="localhost"
    )
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake cannot end before it is answered")


HELLO = _hello()


def _records(size: int) -> bytes:
    """Return the ClientHello in TLS records of `size` bytes each, as a client may send it."""
    head, body = HELLO[:3], HELLO[5:]
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(head + len(part).to_bytes(2) + part for part in parts)


def _replaced(start: int, garbage: bytes) -> bytes:
    return HELLO[:start] + garbage + HELLO[start + len(garbage) :]


def _inserted(start: int, garbage: bytes) -> bytes:
    return HELLO[:start] + garbage + HELLO[start:]


positions = st.integers(0, len(HELLO)) | st.integers(0, 60)
garbage = st.binary(min_size=1, max_size=40)
hellos = st.one_of(
    st.builds(lambda end: HELLO[:end], positions),
    st.builds(_records, st.integers(1, 600)),
    st.builds(_replaced, positions, garbage),
    st.builds(_inserted, positions, garbage),
    st.builds(lambda extra: HELLO + extra, mostly(garbage, st.just(HELLO))),
    garbage,
)
examples = st.tuples(hellos, cuts)


@cache
def _certificate() -> Certificate:
    with tempfile.TemporaryDirectory() as name:
        cert, key = Path(name) / "cert.pem", Path(name) / "key.pem"
        Authority(Path(name)).issue(cert, key, "localhost")
        return Certificate(cert, key)


def check_hello(example: tuple[bytes, list[int]]) -> None:
    """Expect TLS or silence on a port with TLS, HTTP or silence on one without; nothing is left."""
    asyncio.run(_check_hello(*example))
    check_head(example)


async def _check_hello(data: bytes, at: list[int]) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    bench = Bench()
    with bench.faults.watched():
        _, port = await bench.gateway.start("127.0.0.1", 0, _certificate().context)
        try:
            async with asyncio.timeout(PATIENCE):
                received = await exchange(port, pieces(data, at))
            await eventually(lambda: not bench.gateway.connections)
        finally:
            await bench.gateway.stop(0)
    assert received[:1] in (b"", bytes([HANDSHAKE]), bytes([ALERT])), received[:20]
    if data == _records(int.from_bytes(data[3:5]) or 1):
        assert received[:1] == bytes([HANDSHAKE]), "a whole ClientHello is answered"
    bench.check()
    assert not faults, faults


async def exchange(port: int, parts: list[bytes]) -> bytes:
    """Send the pieces one by one, and end; return all that the gateway sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        received = await reader.read()
    except OSError:
        pass  # the gateway may end the connection before it has read everything
    finally:
        writer.close()
    return received
