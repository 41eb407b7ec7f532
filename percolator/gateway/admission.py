"""The guard at the gateway's door: limits, origins and tokens, as the gateway asks for them."""

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
"""Tokens of one address that may be wrong; past that it is not listened to for a while."""
FREE_CODES = 3_000
"""Close codes from here on mean what applications like; to count each would be to keep each."""
LOG_SECONDS = 10.0
"""Refusals are logged together, so often at the most: clients cause them."""

logger = logging.getLogger(__name__)


class Admission:
    """Who may come in, as the gateway asks it; counted in the core's limits."""

    def __init__(
        self,
        settings: Settings,
        stats: Stats,
        clock: Callable[[], float],
        verifier: Verifier | None = None,
    ) -> None:
        """Without a verifier, everybody may read everything."""
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
        """Whom a connection is counted for."""
        return address_key(peer, forwarded_for, self._trusted)

    def attempt(self, address: str) -> bool:
        """Count an attempt to connect; False where it is one too many, or tokens were wrong."""
        now = self._clock()
        return self.attempts.take(address, now) and not self.is_throttled(address)

    def origin_allowed(self, origins: Sequence[str]) -> bool:
        """Whether a page may connect; who names no origin is no browser, and may."""
        return not self._origins or all(each.lower() in self._origins for each in origins)

    @property
    def auth_required(self) -> bool:
        """True where authentication is on."""
        return self._verifier is not None

    def is_throttled(self, address: str) -> bool:
        """True while an address has sent too many wrong tokens: none of its tokens is verified."""
        return self.failures.exhausted(address, self._clock())

    def failed(self, address: str) -> None:
        """Count a token that was wrong."""
        self.failures.take(address, self._clock())

    def verify(self, address: str, token: str) -> Grant | None:
        """Give what a token allows; None where it does not, or too many of that address did not."""
        assert self._verifier is not None
        grant = None if self.is_throttled(address) else self._verifier.verify(token)
        if grant is None:
            self.failed(address)
        self._stats.authentications["refused" if grant is None else "accepted"] += 1
        return grant

    def refused(self, reason: str) -> None:
        """Count a connection that was not let in."""
        self._stats.refused[reason] += 1

    def closed(self, code: int) -> None:
        """Count a connection that ended; codes that clients may choose freely, by the thousand."""
        self._stats.closed[code if code < FREE_CODES else code // 1_000 * 1_000] += 1

    def sweep(self) -> None:
        """Fold the counters, and forget addresses that are quiet again."""
        now = self._clock()
        self._stats.tick(now)
        self.attempts.forget(now)
        self.failures.forget(now)
        if now >= self._log_at:
            self._log_at = now + LOG_SECONDS
            self._log_refusals()

    def _log_refusals(self) -> None:
        """Say in one line what was refused since the last."""
        stats = self._stats
        so_far = stats.refused + Counter({"wrong tokens": stats.authentications["refused"]})
        news = so_far - self._logged
        if news:
            self._logged = so_far
            text = ", ".join(f"{count:,} ({reason})" for reason, count in news.most_common())
            logger.warning("refused: %s", text)
