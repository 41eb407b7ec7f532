"""How log lines look, on standard error, and how many there may be.

One line an event. What a client can cause is bounded here once for all: each place in the code that
logs has its own allowance, and says with its next line how many were left out. Nothing that looks
like a token gets through, whoever logs it.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from percolator.redaction import redact_tokens

LINES_PER_SECOND = 0.1
LINE_BURST = 10
"""What each place in the code may log at once, and a second in the long run."""
CHATTY = ("asyncio", "nats", "websockets")
"""Libraries of whose doings only warnings are of interest."""


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to standard error. `form` is `text` or `json`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(RateLimitFilter(time.monotonic))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    least = max(logging.WARNING, logging.getLevelName(level.upper()))
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(least)


class RateLimitFilter(logging.Filter):
    """Lets through as many lines of each place in the code as it may log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._places: dict[tuple[str, int], tuple[float, float, int]] = {}
        """For each: the time, what was left of its allowance, and how many lines were left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line goes out, with the number of those that did not."""
        place, now = (record.pathname, record.lineno), self._clock()
        at, left, omitted = self._places.get(place, (now, float(LINE_BURST), 0))
        left = min(LINE_BURST, left + (now - at) * LINES_PER_SECOND)
        if left < 1:
            self._places[place] = (now, left, omitted + 1)
            return False
        self._places[place] = (now, left - 1, 0)
        if omitted:
            record.msg = f"{record.getMessage()} ({omitted:,} more like this left out)"
            record.args = ()
        return True


class TextLines(logging.Formatter):
    """`2024-08-08 12:34:56.789 warning the stream has dropped events after seq 5`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line, and below it the trace of an error of ours."""
        at = datetime.fromtimestamp(record.created).astimezone()
        stamp = at.isoformat(sep=" ", timespec="milliseconds")[:23]
        line = f"{stamp} {record.levelname.lower():7} {_on_one_line(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact_tokens(line)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_tokens(record.getMessage()),
        }
        if record.exc_info:
            fields["error"] = redact_tokens(self.formatException(record.exc_info))
        return json.dumps(fields)


def _on_one_line(text: str) -> str:
    """Keep what a client may have had a hand in from making a line of its own, or colours."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
