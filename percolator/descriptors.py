"""File descriptors: as many as the system gives, and what is kept free of them."""

import logging
import resource

SPARE = 64
"""Left free for NATS, files and the listening socket."""

log = logging.getLogger(__name__)


def limit() -> int:
    """Give how many this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit(wanted: int) -> None:
    """Take as many descriptors as the system gives, and say where that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < wanted + SPARE:
        log.warning(
            "max_connections is %d, but the system gives this process %d file descriptors: "
            "raise its limit (ulimit -n) or lower the setting",
            wanted,
            hard,
        )
