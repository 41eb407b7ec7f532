"""Binding: on which addresses a gateway listens, and how it says that it cannot."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from percolator.errors import PortInUseError
from percolator.gateway import binding


@contextmanager
def listening(sockets: list[socket.socket]) -> Iterator[list[tuple[str, int]]]:
    """Yield the addresses of sockets, and close them afterwards."""
    try:
        yield [each.getsockname()[:2] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def connects(host: str, port: int) -> bool:
    """Whether a client reaches something there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        return client.connect_ex((host, port)) == 0


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name that has an IPv6 address and an IPv4 one, each of them twice."""

    def both(*_: object, **__: object) -> list[tuple[Any, ...]]:
        found = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
        return [(family, 0, 0, "", address) for family, address in found * 2]

    monkeypatch.setattr(socket, "getaddrinfo", both)


@pytest.fixture
def no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without IPv6."""

    class Socket(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *arguments: Any) -> None:  # noqa: ANN401 - as socket
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "not supported")
            super().__init__(family, *arguments)

    monkeypatch.setattr(socket, "socket", Socket)


async def test_two_colons_listen_on_ipv6_and_on_ipv4() -> None:
    """With one socket."""
    with listening(await binding.listen("::", 0)) as [(host, port)]:
        assert host == "::"
        assert connects("::1", port)
        assert connects("127.0.0.1", port)


@pytest.mark.parametrize(("host", "other"), [("::1", "127.0.0.1"), ("0.0.0.0", "::1")])  # noqa: S104 - what is tested
async def test_any_other_address_is_the_only_one(host: str, other: str) -> None:
    """Also the other one that means all addresses of its family."""
    with listening(await binding.listen(host, 0)) as [(bound, port)]:
        assert bound == host
        assert not connects(other, port)


@pytest.mark.usefixtures("two_addresses")
async def test_a_name_with_two_addresses_listens_on_both_with_the_same_port() -> None:
    """Once on each, also if any free port will do."""
    with listening(await binding.listen("localhost", 0)) as [(first, port), (second, again)]:
        assert (first, second, again) == ("::1", "127.0.0.1", port)
        assert connects("::1", port)
        assert connects("127.0.0.1", port)


@pytest.mark.usefixtures("two_addresses")
async def test_a_port_that_is_taken_on_one_of_two_addresses_is_taken() -> None:
    """The gateway listens on neither, rather than on half of what its name says."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match="choose another port"):
            await binding.listen("localhost", port)
        assert not connects("::1", port)


@pytest.mark.usefixtures("no_ipv6")
async def test_without_ipv6_two_colons_listen_on_ipv4() -> None:
    """So the same settings fit every machine."""
    with listening(await binding.listen("::", 0)) as [(host, port)]:
        assert host == "0.0.0.0"  # noqa: S104 - what is tested
        assert connects("127.0.0.1", port)


@pytest.mark.usefixtures("two_addresses", "no_ipv6")
async def test_without_ipv6_a_name_listens_on_its_ipv4_address() -> None:
    """Most machines have ::1 in their list of hosts."""
    with listening(await binding.listen("localhost", 0)) as [(host, _)]:
        assert host == "127.0.0.1"


@pytest.mark.usefixtures("no_ipv6")
async def test_without_ipv6_an_ipv6_address_is_an_error() -> None:
    """It names the address in brackets, and what to do."""
    with pytest.raises(
        PortInUseError, match=r"on \[::1\]:0 \(Address family .*another with --host"
    ):
        await binding.listen("::1", 0)
