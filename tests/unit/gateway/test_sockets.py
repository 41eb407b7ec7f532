"""Sockets: which one is closed if there are too many, and what is left when all are closed."""

import socket

import pytest

from percolator.gateway.addresses import tiers
from percolator.gateway.sockets import SOCKETS_PER_CONNECTION, AcceptedSocket, Sockets

LIMIT = 100


def arrive(sockets: Sockets, key: str, deadline: float = 10.0) -> AcceptedSocket:
    """Count a new socket of an address."""
    accepted = AcceptedSocket(socket.socket(), key, tiers(key) if key else (), deadline)
    accepted.sock.close()
    sockets.enter(accepted)
    return accepted


def test_the_oldest_socket_of_an_address_makes_room_for_its_next() -> None:
    """Clients do not, nor do those of other addresses, however old they are."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    other = arrive(sockets, "a")
    own = [arrive(sockets, "b") for _ in range(SOCKETS_PER_CONNECTION)]
    sockets.admitted(own[0])
    assert sockets.evict(tiers("b")) is None
    own.append(arrive(sockets, "b"))
    assert sockets.evict(tiers("b")) is own[1]
    assert sockets.evict(tiers("b")) is None
    assert other in sockets._others
    assert len(sockets) == 2 + SOCKETS_PER_CONNECTION


def test_a_socket_that_leaves_its_answer_unread_is_not_a_client() -> None:
    """It still counts under its address."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    own = [arrive(sockets, "a") for _ in range(SOCKETS_PER_CONNECTION)]
    for accepted in own:
        sockets.requested(accepted)
    assert sockets.evict(tiers("a")) is own[0]


def test_the_socket_of_a_proxy_counts_under_its_client_once_that_is_known() -> None:
    """Before, it counted under no address; afterwards, nothing is left."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    own = [arrive(sockets, "") for _ in range(SOCKETS_PER_CONNECTION)]
    assert sockets.evict(tiers("a")) is None
    for accepted in own:
        sockets.identify(accepted, "a", tiers("a"))
    assert {each.peer for each in sockets} == {"a"}
    assert sockets.evict(tiers("a")) is own[0]
    for accepted in own:
        sockets.leave(accepted)
    assert sockets._by_tier == {}


def test_the_sockets_of_an_ipv6_network_are_limited_together() -> None:
    """A /56 has 4 times those of a /64; then its oldest makes room, from whichever /64 it is."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    keys = [f"2001:db8:0:{number:x}::/64" for number in range(4)]
    for key in keys:
        for _ in range(SOCKETS_PER_CONNECTION):
            assert sockets.evict(tiers(key)) is None
            arrive(sockets, key)
    oldest = next(iter(sockets._others))
    assert sockets.evict(tiers("2001:db8:0:100::/64")) is None
    assert sockets.evict(tiers("2001:db8:0:4::/64")) is oldest


def test_if_all_sockets_are_taken_the_oldest_that_is_not_a_client_makes_room() -> None:
    """If all are clients, none does."""
    sockets = Sockets(3, max_connections_per_ip=0)
    first, second, third = (arrive(sockets, each) for each in "abc")
    assert sockets.is_full
    sockets.admitted(first)
    sockets.requested(second)
    assert sockets.evict_any() is second
    assert sockets.evict_any() is third
    assert sockets.evict_any() is None
    sockets.leave(second)
    assert not sockets.is_full


@pytest.mark.parametrize("key", ["a", ""])
def test_without_a_limit_or_an_address_sockets_are_limited_in_total_only(key: str) -> None:
    """A proxy counts under no address."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1 if not key else 0)
    for _ in range(LIMIT):
        assert sockets.evict(tiers(key) if key else ()) is None
        assert not sockets.is_full
        arrive(sockets, key)
    assert sockets.is_full


def test_sockets_past_their_deadline_have_expired() -> None:
    """Unless their request is complete."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    first, second, third = (arrive(sockets, "a", deadline) for deadline in (1.0, 2.0, 3.0))
    sockets.requested(first)
    assert list(sockets.expired(1.9)) == []
    assert list(sockets.expired(2.0)) == [second]
    assert list(sockets.expired(9.0)) == [third]


def test_nothing_is_left_of_a_socket_that_is_closed() -> None:
    """Also if it is reported twice."""
    sockets = Sockets(LIMIT, max_connections_per_ip=1)
    for accepted in [arrive(sockets, "2001:db8::/64") for _ in range(3)]:
        sockets.leave(accepted)
        sockets.leave(accepted)
    assert (list(sockets), sockets._pending, sockets._others, sockets._by_tier) == ([], {}, {}, {})
