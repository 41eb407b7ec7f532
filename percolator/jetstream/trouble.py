"""Why the feed is not reading: one line in the log per change, and what `/health` shows."""

import logging

from percolator.jetstream.failures import words

NOT_STARTED = "not started yet"

logger = logging.getLogger(__name__)


class Trouble:
    """The reason, while there is one."""

    def __init__(self) -> None:
        self.text = NOT_STARTED
        """Why the feed is not reading; empty while it is."""
        self.said = ""
        """The last error that NATS sent on the connection."""

    def note(self, error: Exception, seq: int) -> None:
        """Record why the feed stopped after a seq. It may stop for the same reason for hours."""
        text = words(error)
        if self.said and self.said not in text:
            text += f" (NATS said: {self.said})"
        if text != self.text:
            logger.warning("feed: %s; retrying, will resume after seq %d", text, seq)
        self.text = text

    def end(self, seq: int) -> None:
        """Record that the feed reads what comes after a seq."""
        if self.text not in ("", NOT_STARTED):
            logger.info("feed: reading again, after seq %d", seq)
        self.text = ""
