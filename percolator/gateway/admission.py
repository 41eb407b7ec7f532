"""Admission: which connections are accepted, by limits, origins and tokens."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from percolator.auth.tokens import Grant, Verifier
from percolator.config import origins
from percolator.config.settings import Settings
from percolator.config.types import host_and_port
from percolator.gateway.addresses import Tier, address_key, is_trusted, tiers
from percolator.gateway.attempts import Attempts
from percolator.gateway.places import Places
from percolator.stats import Stats

FAILURES_PER_SECOND = 1.0
FAILURE_BURST = 10
"""Wrong tokens an address may send at once; past that, it is refused with each wrong one."""
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
        self.max_connections_per_ip = settings.max_connections_per_ip
        self.attempts = Attempts(settings.attempts_per_second, settings.attempt_burst)
        self.requests = Attempts(settings.requests_per_second, settings.request_burst)
        self.admit = self.places.admit
        self.release = self.places.release
        self.failures = Attempts(FAILURES_PER_SECOND, FAILURE_BURST)
        self.http_failures = Attempts(FAILURES_PER_SECOND, FAILURE_BURST)
        """Apart from WebSockets: any page can make a browser send plain requests."""
        self._verifier = verifier
        self.any_origin = origins.ANY in (settings.allowed_origins or origins.ANY)
        """True if pages of all origins may connect and read."""
        self._origin_allowed = origins.matcher(settings.allowed_origins)
        self._hosts = frozenset(settings.allowed_hosts)
        self._stats = stats
        self._clock = clock
        self._trusted = settings.trusted_proxies
        self._proxy_protocol = settings.proxy_protocol
        self._logged: Counter[str] = Counter()
        self._log_at = clock()

    def address_key(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return the key that a connection is counted under."""
        return address_key(peer, forwarded_for, self._trusted)

    def tiers_of_peer(self, peer: str) -> tuple[Tier, ...]:
        """Return what a peer's sockets count under; a proxy has many clients: nothing."""
        if is_trusted(peer, self._trusted):
            return ()
        return tiers(self.address_key(peer, ()))

    def sends_proxy_header(self, peer: str) -> bool:
        """Return whether a peer is a proxy whose connections must begin with a PROXY header."""
        return self._proxy_protocol and is_trusted(peer, self._trusted)

    def attempt(self, address: str) -> bool:
        """Count an attempt to connect; return False after too many of them."""
        return self.attempts.allow(address, self._clock())

    def request(self, address: str) -> bool:
        """Count a plain request; return False after too many of them."""
        return self.requests.allow(address, self._clock())

    def host_allowed(self, hosts: Sequence[str]) -> bool:
        """Return whether the Host headers of a request are exactly one that is served here."""
        if not self._hosts:
            return True
        parts = host_and_port(hosts[0].strip()) if len(hosts) == 1 else None
        return parts is not None and not self._hosts.isdisjoint((parts[0], ":".join(parts)))

    def origin_allowed(self, named: Sequence[str]) -> bool:
        """Return whether a page may connect, and read what is open to it, by its Origin headers.

        Without one, the client is not a browser, or the page is the gateway's own.
        """
        return all(map(self._origin_allowed, named))

    @property
    def auth_required(self) -> bool:
        """True if auth is enabled."""
        return self._verifier is not None

    def verify(self, token: str) -> Grant | None:
        """Return what a token allows; None if it is invalid."""
        assert self._verifier is not None
        grant = self._verifier.verify(token)
        self._stats.authentications["refused" if grant is None else "accepted"] += 1
        return grant

    def failed(self, address: str) -> bool:
        """Count a wrong token over a WebSocket; return True after too many of them."""
        return not self.failures.allow(address, self._clock())

    def failed_http(self, address: str) -> bool:
        """Count a wrong token of a plain request; return True after too many of them."""
        return not self.http_failures.allow(address, self._clock())

    def token_allowed(self, address: str, token: str | None) -> bool:
        """Return False for an upgrade with a wrong token, from an address that sent too many."""
        if not self.auth_required or not token:
            return True
        throttled = self.failures.exhausted(address, self._clock())
        return not throttled or self.verify(token) is not None

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
        self.requests.forget(now)
        self.failures.forget(now)
        self.http_failures.forget(now)
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
