"""The answers of a hostile gateway, with harmful text, and what a command may make of them."""

from tests.cli.program import Done
from tests.hostile import ESCAPES, HARMFUL, page

WIDE = "市場" * 12
"""Letters of two columns each."""
STATS = {
    "totalConnections": 3,
    "connectionsPerSlab": {ESCAPES: 3, WIDE: 2, "[red]SOL[/red]": 2, ":smile:": 1},
    "messagesPerSec": 1.5,
    "bytesPerSec": 2**53 - 1,
    "limits": {"maxGlobalConnections": 1_000, "maxConnectionsPerSlab": 1},
    "rejectedConnections": {ESCAPES: 5},
    "closed": {ESCAPES: 5},
    "nats": {"connected": True, "streamSeq": 2**53 - 1, "lag": 0},
}
MARKETS = {
    "epoch": ESCAPES,
    "markets": {
        ESCAPES: {
            "slab": ESCAPES,
            "price": {"price": 1.7e308, "markPrice": 5e-324, "timestamp": 2**53 - 1},
            "funding": {"rate": f"-{'9' * 20}.{'9' * 20}", "timestamp": 0},
        },
    },
}
HEALTH = {"status": ESCAPES, "checks": {ESCAPES: {"ok": False, "reason": f"[red]{ESCAPES}"}}}
PAGES = {"/ws/stats": page(STATS), "/markets": page(MARKETS), "/health": page(HEALTH)}


def assert_harmless(done: Done) -> None:
    """Check that nothing in the output can control a terminal, and that there was no bug."""
    shown = done.out + done.err
    assert not [harm for harm in HARMFUL if harm in shown], shown
    assert "internal error" not in shown
    assert "Traceback" not in shown


def assert_one_sentence(done: Done, *words: str) -> None:
    """Check that a command failed with one sentence that has these words."""
    assert_harmless(done)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: ")
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
