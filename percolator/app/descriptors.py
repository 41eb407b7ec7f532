"""File descriptors: raises the limit of this process, and keeps some of them free."""

import contextlib
import logging
import resource

SPARE = 128
"""Descriptors kept free for NATS, files, and sockets that are being accepted or refused."""

logger = logging.getLogger(__name__)


def raise_limit(sockets: int) -> int:
    """Raise the soft limit to the hard limit; return how many sockets it allows.

    Logs a warning if that is less than `sockets`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports unlimited but has a maximum
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft == resource.RLIM_INFINITY:
        return sockets + SPARE
    if soft < sockets + SPARE:
        logger.warning(
            "max_connections is %d, but this process may open only %d file descriptors: "
            "raise its limit (ulimit -n) or lower the setting",
            sockets,
            soft,
        )
    return max(soft - SPARE, 1)
