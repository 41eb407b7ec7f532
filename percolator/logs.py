"""Log lines: their two formats, and how many there may be. Written to standard error.

One line per event. Clients can cause log lines, so each place in the code that logs is rate
limited, and its next line says how many were suppressed. Tokens are removed from every line.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from percolator.printable import printable
from percolator.redaction import redact_tokens

LINES_PER_SECOND = 0.1
"""Lines per second that each place in the code may log on average."""
LINE_BURST = 10
"""Lines that each place in the code may log at once."""
UNLIMITED = {"unlimited": True}
"""`extra` of a line that an operator has asked for: it is not rate limited."""
CHATTY = ("asyncio", "nats", "websockets")
"""Libraries of which only warnings and errors are logged."""


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to standard error. `form` is `text` or `json`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(RateLimitFilter(time.monotonic))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    minimum = max(logging.WARNING, logging.getLevelName(level.upper()))
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(minimum)


class RateLimitFilter(logging.Filter):
    """Limits the lines of each place in the code. Debug lines and UNLIMITED ones always pass."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._places: dict[tuple[str, int], tuple[float, float, int]] = {}
        """For each place: when it last logged, its remaining lines, and the suppressed ones."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a line; add the number of lines suppressed before it."""
        if record.levelno <= logging.DEBUG or getattr(record, "unlimited", False):
            return True
        place, now = (record.pathname, record.lineno), self._clock()
        at, left, suppressed = self._places.get(place, (now, float(LINE_BURST), 0))
        left = min(LINE_BURST, left + (now - at) * LINES_PER_SECOND)
        if left < 1:
            self._places[place] = (now, left, suppressed + 1)
            return False
        self._places[place] = (now, left - 1, 0)
        if suppressed:
            record.msg = f"{record.getMessage()} ({suppressed:,} similar messages suppressed)"
            record.args = ()
        return True


class TextLines(logging.Formatter):
    """`2024-08-08 12:34:56.789 warning the stream has dropped events after seq 5`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, followed by the traceback of an internal error."""
        at = datetime.fromtimestamp(record.created).astimezone()
        stamp = at.isoformat(sep=" ", timespec="milliseconds")[:23]
        line = f"{stamp} {record.levelname.lower():7} {printable(record.getMessage())}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).split("\n")
            line = "\n".join([line, *map(printable, trace)])
        return redact_tokens(line)


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, and error if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_tokens(record.getMessage()),
        }
        if record.exc_info:
            fields["error"] = redact_tokens(self.formatException(record.exc_info))
        return json.dumps(fields)
