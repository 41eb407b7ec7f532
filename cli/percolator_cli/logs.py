"""How log lines look, on standard error: for people, or JSON."""

import json
import logging
import sys
from datetime import UTC, datetime


def configure(level: str, form: str) -> None:
    """Send all log lines of this process to standard error. `form` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("asyncio", "nats", "websockets"):
        logging.getLogger(chatty).setLevel(
            max(logging.WARNING, logging.getLevelName(level.upper()))
        )


class TextLines(logging.Formatter):
    """`2024-08-08 12:34:56.789 warning feed: the stream has dropped events`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line, and below it the trace of an error of ours."""
        at = datetime.fromtimestamp(record.created).astimezone()
        stamp = at.isoformat(sep=" ", timespec="milliseconds")[:23]
        text = f"{stamp} {record.levelname.lower():7} {_one_line(record.getMessage())}"
        return (
            text if record.exc_info is None else f"{text}\n{self.formatException(record.exc_info)}"
        )


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Keep what a client may have had a hand in from making a line of its own, or colours."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
