"""Admission: which connections are accepted, by limits, origins and tokens."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from percolator.auth.tokens import Grant, Verifier
from percolator.config.settings import Settings
from percolator.gateway.addresses import address_key
from percolator.gateway.attempts import Attempts
from percolator.gateway.places import Places
from percolator.stats import Stats

FAILURES_PER_SECOND = 1.0
FAILURE_BURST = 10
"""Bad tokens an address may send at once; past that, none of its tokens is verified."""
FREE_CODES = 3_000
"""Close codes from here on are chosen by applications; counting each would use memory for each."""
LOG_SECONDS = 10.0
"""Minimum seconds between two log lines about refusals: clients cause them."""

logger = logging.getLogger(__name__)


class Admission:
    """Decides which connections and tokens are accepted, and counts refusals."""

    def __init__(
        self,
        settings: Settings,
        stats: Stats,
        clock: Callable[[], float],
        verifier: Verifier | None = None,
    ) -> None:
        """Without a verifier, every client may read everything."""
        self.places = Places(
            connections=settings.max_connections, per_address=settings.max_connections_per_ip
        )
        self.attempts = Attempts(settings.attempts_per_second, settings.attempt_burst)
        self.admit = self.places.admit
        self.release = self.places.release
        self.failures = Attempts(FAILURES_PER_SECOND, FAILURE_BURST)
        self._verifier = verifier
        self._origins = frozenset(settings.allowed_origins)
        self._stats = stats
        self._clock = clock
        self._trusted = settings.trusted_proxies
        self._logged: Counter[str] = Counter()
        self._log_at = clock()

    def address_key(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return the key that a connection is counted under."""
        return address_key(peer, forwarded_for, self._trusted)

    def attempt(self, address: str) -> bool:
        """Count an attempt to connect; return False after too many of them, or of bad tokens."""
        now = self._clock()
        return self.attempts.allow(address, now) and not self.is_throttled(address)

    def origin_allowed(self, origins: Sequence[str]) -> bool:
        """Return whether a page may connect; without an Origin, the client is not a browser."""
        return not self._origins or all(each.lower() in self._origins for each in origins)

    @property
    def auth_required(self) -> bool:
        """True if auth is enabled."""
        return self._verifier is not None

    def is_throttled(self, address: str) -> bool:
        """Return whether an address has sent too many bad tokens to have any verified."""
        return self.failures.exhausted(address, self._clock())

    def failed(self, address: str) -> None:
        """Count a bad token."""
        self.failures.allow(address, self._clock())

    def verify(self, address: str, token: str) -> Grant | None:
        """Return what a token allows; None if it is invalid or its address is throttled."""
        assert self._verifier is not None
        grant = None if self.is_throttled(address) else self._verifier.verify(token)
        if grant is None:
            self.failed(address)
        self._stats.authentications["refused" if grant is None else "accepted"] += 1
        return grant

    def refused(self, reason: str) -> None:
        """Count a refused connection."""
        self._stats.refused[reason] += 1

    def closed(self, code: int) -> None:
        """Count a closed connection; codes that clients choose freely count by the thousand."""
        self._stats.closed[code if code < FREE_CODES else code // 1_000 * 1_000] += 1

    def sweep(self) -> None:
        """Update the rates, forget addresses that are quiet again, and log refusals."""
        now = self._clock()
        self._stats.tick(now)
        self.attempts.forget(now)
        self.failures.forget(now)
        if now >= self._log_at:
            self._log_at = now + LOG_SECONDS
            self._log_refusals()

    def _log_refusals(self) -> None:
        """Log in one line what was refused since the last line."""
        stats = self._stats
        total = stats.refused + Counter({"bad tokens": stats.authentications["refused"]})
        new = total - self._logged
        if new:
            self._logged = total
            text = ", ".join(f"{count:,} ({reason})" for reason, count in new.most_common())
            logger.warning("refused: %s", text)
