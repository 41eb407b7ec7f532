"""Addresses: the key of a connection, behind proxies, in IPv6, and with forged headers."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.addresses import Network, address_key, is_trusted, tiers

TRUSTED: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_without_trusted_proxies_the_key_is_the_peer() -> None:
    """The header does not matter."""
    assert address_key("203.0.113.7", [], ()) == "203.0.113.7"
    assert address_key("203.0.113.7", ["198.51.100.1"], ()) == "203.0.113.7"
    assert address_key("203.0.113.7", ["198.51.100.1"], TRUSTED) == "203.0.113.7"


@pytest.mark.parametrize(
    ("forwarded_for", "key"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["198.51.100.1,10.0.0.2", " 10.0.0.3 "], "198.51.100.1"),
        (["2001:db8:0:1::5"], "2001:db8:0:1::/64"),
        (["[2001:db8:0:1::5]:4711"], "2001:db8:0:1::/64"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1, fd00::1"], "198.51.100.1"),
    ],
)
def test_behind_trusted_proxies_the_key_is_the_rightmost_other_address(
    forwarded_for: list[str], key: str
) -> None:
    """The client may have written what is left of it."""
    assert address_key("10.0.0.1", forwarded_for, TRUSTED) == key


@pytest.mark.parametrize(
    ("forwarded_for", "key"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([" , ,", "\t"], "10.0.0.1"),
        (["unknown"], "10.0.0.1"),
        (["1.1.1.1, unknown,"], "10.0.0.1"),
        (["1.1.1.1, _hidden, , 10.0.0.9"], "10.0.0.9"),
        (['1.1.1.1, ""'], "10.0.0.1"),
        (["1.1.1.1, unknown"], "10.0.0.1"),
        (["1.1.1.1, unknown, 10.0.0.9"], "10.0.0.9"),
        (["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
    ],
)
def test_without_a_client_address_the_key_is_the_last_proxy(
    forwarded_for: list[str], key: str
) -> None:
    """Nothing left of an invalid entry is trusted."""
    assert address_key("10.0.0.1", forwarded_for, TRUSTED) == key


@pytest.mark.parametrize(
    "forwarded_for",
    [
        [", 198.51.100.1"],
        ["198.51.100.1,,"],
        ["198.51.100.1, \t ,"],
        ["198.51.100.1", "", " "],
        ["1.1.1.1,,198.51.100.1, ,10.0.0.2,"],
    ],
)
def test_empty_elements_of_the_header_are_skipped(forwarded_for: list[str]) -> None:
    """A proxy that adds to an empty header leaves one, and so may one that adds nothing."""
    assert address_key("10.0.0.1", forwarded_for, TRUSTED) == "198.51.100.1"


@pytest.mark.parametrize(
    ("element", "key"),
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[198.51.100.1]:4711", "198.51.100.1"),
        ('"198.51.100.1"', "198.51.100.1"),
        ('"198.51.100.1:4711"', "198.51.100.1"),
        ("[2001:db8:0:1::5]", "2001:db8:0:1::/64"),
        ('"[2001:db8:0:1::5]:4711"', "2001:db8:0:1::/64"),
        ("[::ffff:198.51.100.1]:4711", "198.51.100.1"),
    ],
)
def test_an_element_may_have_a_port_brackets_and_quotes(element: str, key: str) -> None:
    """As proxies write it."""
    assert address_key("10.0.0.1", [f"1.1.1.1, {element}"], TRUSTED) == key


def test_ipv4_in_ipv6_is_the_same_client() -> None:
    """Otherwise each client would have two keys."""
    assert address_key("::ffff:203.0.113.7", [], ()) == address_key("203.0.113.7", [], ())
    assert address_key("::ffff:10.0.0.1", ["198.51.100.1"], TRUSTED) == "198.51.100.1"


def test_ipv6_counts_by_64_bits() -> None:
    """A client has all of its /64; the next /64 is another client."""
    mine = {address_key(f"2001:db8:0:1::{host:x}", [], ()) for host in range(1, 50)}
    assert mine == {"2001:db8:0:1::/64"}
    assert address_key("2001:db8:0:2::1", [], ()) == "2001:db8:0:2::/64"
    assert address_key("fe80::1%eth0", [], ()) == "fe80::/64"


@pytest.mark.parametrize(
    "address",
    ["2002:cb00:7107::1", "2002:cb00:7107:1:2:3:4:5", "64:ff9b::203.0.113.7", "64:ff9b::cb00:7107"],
)
def test_ipv4_that_6to4_and_nat64_carry_is_the_same_client(address: str) -> None:
    """Otherwise one IPv4 address would have a /48 of its own."""
    assert address_key(address, [], ()) == "203.0.113.7"
    assert address_key("64:ff9b:1::203.0.113.7", [], ()) == "64:ff9b:1::/64"


def test_ipv6_also_counts_by_56_and_48_bits() -> None:
    """At 4 and 16 times the limit of an address."""
    assert tiers("2001:db8:1:1234::/64") == (
        ("2001:db8:1:1234::/64", 1),
        ("2001:db8:1:1200::/56", 4),
        ("2001:db8:1::/48", 16),
    )
    assert tiers(address_key("::1", [], ())) == (("::/64", 1), ("::/56", 4), ("::/48", 16))


@pytest.mark.parametrize("key", ["203.0.113.7", "/run/proxy.sock", ""])
def test_other_keys_count_by_themselves(key: str) -> None:
    """IPv4 has no wider network."""
    assert tiers(key) == ((key, 1),)


def test_only_a_proxy_in_the_list_is_trusted() -> None:
    """Also as an IPv4 address in IPv6; a peer without an address is not."""
    peers = ("10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "203.0.113.7", "/run/proxy.sock")
    assert [is_trusted(peer, TRUSTED) for peer in peers] == [True, True, True, False, False]
    assert not is_trusted("10.0.0.1", ())


def test_an_invalid_address_is_its_own_key() -> None:
    """They do not all share one key."""
    assert address_key("/run/proxy.sock", [], TRUSTED) == "/run/proxy.sock"
    assert address_key("", ["198.51.100.1"], TRUSTED) == ""


addresses = st.ip_addresses().map(str)


@given(addresses, st.lists(st.text(max_size=20) | addresses, max_size=4))
def test_the_header_of_an_untrusted_peer_changes_nothing(
    peer: str, forwarded_for: list[str]
) -> None:
    """Only trusted proxies are believed."""
    assert address_key(peer, forwarded_for, ()) == address_key(peer, [], ())


@given(st.ip_addresses(v=4).map(str), st.lists(st.text(max_size=20) | addresses, max_size=4))
def test_forged_entries_left_of_the_client_change_nothing(client: str, forged: list[str]) -> None:
    """Whatever they contain."""
    trusted = (ip_network("192.0.2.1/32"),)
    honest = address_key("192.0.2.1", [client], trusted)
    if client != "192.0.2.1":
        assert address_key("192.0.2.1", [*forged, client], trusted) == honest == client
