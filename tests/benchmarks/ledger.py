"""What a client received, and whether it accounts for every event. Pure: bytes and times in.

Each connection counts its events and gaps. A sampled one reads each message, follows the `prev`
chain of its channels, and keeps the latencies of trades and fundings; those of prices mean nothing,
since a price waits for the end of its window by design.
"""

import re
from array import array
from collections.abc import Sequence

EVENT = b'"timestamp":'
"""Occurs once per event, whichever server sends it."""
LOSSLESS = b'"prev":'
"""Occurs in trades and fundings of the gateway and of the floor."""
GAP = b'"type":"gap"'
PING = b"\x89\x08"

_READ = re.compile(
    rb'"type":"(?P<kind>trade|funding)","slab":"(?P<slab>[^"]+)"[^}]*?"timestamp":(?P<at>\d+)'
    rb'(?:,"seq":(?P<seq>\d+),"prev":(?P<prev>\d+|null))?'
    rb'|"type":"gap","channel":"(?P<channel>[^"]+)","from":(?P<after>\d+),"to":(?P<before>\d+)'
)
_CHANNELS = {b"trade": b"trades:", b"funding": b"funding:"}


class Ledger:
    """The ledger of one connection. `missing` adds up the seqs that its gaps name."""

    __slots__ = ("_chain", "_tail", "events", "faults", "gaps", "latencies", "lossless", "missing")

    def __init__(self, *, sampled: bool) -> None:
        self.events = 0
        self.lossless = 0
        self.gaps = 0
        self.missing = 0
        self.faults = 0
        """Events that came twice, out of order, or after a missing event that no gap had named."""
        self.latencies = array("d")
        """In milliseconds; empty if the connection is not sampled."""
        self._chain: dict[bytes, tuple[int, bool]] | None = {} if sampled else None
        self._tail = b""

    def record(self, data: bytes, now_ms: float) -> None:
        """Record received bytes, in pieces of any size.

        A message ends at its only brace. A length byte in a frame's head may look like a brace,
        which does no harm: no pattern begins before it and ends after it.
        """
        data = self._tail + data
        end = data.rfind(b"}") + 1
        self._tail = data[end:]
        self.events += data.count(EVENT, 0, end)
        self.lossless += data.count(LOSSLESS, 0, end)
        has_gap = data.find(GAP, 0, end) >= 0
        if self._chain is not None or has_gap:
            self._read(data[:end], now_ms)

    @property
    def accounted(self) -> int:
        """Number of trades and fundings that arrived or that a gap reported missing."""
        return self.lossless + self.missing

    def _read(self, data: bytes, now_ms: float) -> None:
        for match in _READ.finditer(data):
            if match["channel"]:
                after, before = int(match["after"]), int(match["before"])
                self.gaps += 1
                self.missing += max(before - after - 1, 0)
                if self._chain is not None:
                    self._chain[match["channel"]] = (before, True)
            elif self._chain is not None:
                self.latencies.append(now_ms - int(match["at"]))
                if match["seq"]:
                    self._follow(match, self._chain)

    def _follow(self, match: re.Match[bytes], chain: dict[bytes, tuple[int, bool]]) -> None:
        """Check an event against the one before it, or against the gap before it."""
        channel = _CHANNELS[match["kind"]] + match["slab"]
        seq = int(match["seq"])
        last, after_gap = chain.get(channel, (-1, False))
        if last >= 0:
            whole = seq >= last if after_gap else match["prev"] == b"%d" % last and seq > last
            self.faults += not whole
        chain[channel] = (seq, False)


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies; 0 if there are none."""
    return sorted_values[int((len(sorted_values) - 1) * share)] if sorted_values else 0.0
