"""File descriptors: as many as the system gives, and what is kept free of them."""

import contextlib
import logging
import resource

SPARE = 128
"""Left free for NATS, files, and sockets that are on their way in or out."""

logger = logging.getLogger(__name__)


def take(wanted: int) -> int:
    """Take as many descriptors as the system gives; give how many sockets these are good for.

    Where that is less than `wanted`, the log says so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says unlimited, and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft == resource.RLIM_INFINITY:
        return wanted + SPARE
    if soft < wanted + SPARE:
        logger.warning(
            "max_connections is %d, but the system gives this process %d file descriptors: "
            "raise its limit (ulimit -n) or lower the setting",
            wanted,
            soft,
        )
    return max(soft - SPARE, 1)
