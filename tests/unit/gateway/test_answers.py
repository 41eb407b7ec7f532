"""Answers that are not read: their bytes are bounded in total, and whose goes first."""

from percolator.gateway.answers import MAX_UNREAD_BYTES, UnreadAnswers

HALF = MAX_UNREAD_BYTES // 2


def test_the_address_with_the_most_unread_bytes_loses_its_oldest_answer() -> None:
    """However large the newest answer of another address is."""
    unread: UnreadAnswers[str] = UnreadAnswers()
    assert unread.add("small", "b", 100) == []
    assert unread.add("first", "a", HALF // 2) == []
    assert unread.add("second", "a", HALF // 2) == []
    assert unread.add("other", "c", HALF - 100) == []
    assert unread.total == MAX_UNREAD_BYTES
    assert unread.add("more", "b", HALF // 2) == ["first"]
    assert unread.add("third", "a", HALF) == ["second", "third"]


def test_an_address_may_leave_less_unread_than_half_of_what_is_free() -> None:
    """So one address gets a third, and a second one still finds room; a new one always may."""
    unread: UnreadAnswers[str] = UnreadAnswers()
    size = MAX_UNREAD_BYTES // 100
    found = {}
    for address in ("2001:db8:0:1::/64", "b", "c"):
        for number in range(100):
            if not unread.allows(address):
                break
            assert unread.add(f"{address} {number}", address, size) == []
        found[address] = number
    assert list(found.values()) == [34, 23, 15]
    assert not unread.allows("2001:db8:0:2::/64")
    assert unread.allows("d")
    for number in range(5):
        unread.forget(f"b {number}")
    assert unread.allows("c")


def test_one_answer_over_the_limit_is_ended() -> None:
    """Other clients keep theirs."""
    unread: UnreadAnswers[str] = UnreadAnswers()
    assert unread.add("small", "a", 100) == []
    assert unread.add("huge", "b", MAX_UNREAD_BYTES) == ["huge"]
    assert unread.total == 100


def test_an_ipv6_network_counts_as_one_address() -> None:
    """A /48: an attacker with one must not look like thousands of clients."""
    unread: UnreadAnswers[str] = UnreadAnswers()
    share = MAX_UNREAD_BYTES // 10
    for number in range(9):
        assert unread.add(f"{number}", f"2001:db8:0:{number}::/64", share) == []
    assert unread.add("honest", "a", share) == []
    assert unread.add("more", "a", share // 2) == ["0"]


def test_an_answer_that_was_read_or_whose_client_is_gone_does_not_count() -> None:
    """Nothing is left of it; forgetting it again changes nothing."""
    unread: UnreadAnswers[str] = UnreadAnswers()
    assert unread.add("read", "a", 0) == []
    assert unread.add("gone", "a", 100) == []
    for _ in range(2):
        unread.forget("gone")
        unread.forget("read")
    assert (unread.total, dict(unread._by_network)) == (0, {})
