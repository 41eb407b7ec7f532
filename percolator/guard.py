"""The guard at the gateway's door: what the core's limits say, as the gateway asks it."""

from collections.abc import Callable, Sequence

from percolator.fanout.addresses import address_key
from percolator.fanout.limits import Admission, Attempts
from percolator.fanout.stats import Stats
from percolator.settings import Settings


class Guard:
    """Who may come in, as the gateway asks it; counted in the core's limits."""

    def __init__(self, settings: Settings, stats: Stats, clock: Callable[[], float]) -> None:
        self.admission = Admission(
            connections=settings.max_connections, per_address=settings.max_connections_per_ip
        )
        self.attempts = Attempts(settings.attempts_per_second, settings.attempt_burst)
        self.admit = self.admission.admit
        self.release = self.admission.release
        self._stats = stats
        self._clock = clock
        self._trusted = settings.trusted_proxies

    def address_key(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Whom a connection is counted for."""
        return address_key(peer, forwarded_for, self._trusted)

    def attempt(self, address: str) -> bool:
        """Count an attempt to connect."""
        return self.attempts.take(address, self._clock())

    def refused(self, reason: str) -> None:
        """Count a connection that was not let in."""
        self._stats.refused[reason] += 1

    def closed(self, code: int) -> None:
        """Count a connection that ended."""
        self._stats.closed[code] += 1

    def sweep(self) -> None:
        """Fold the counters, and forget addresses that are quiet again."""
        now = self._clock()
        self._stats.tick(now)
        self.attempts.forget(now)
