"""Log lines: one per event, rate limited, in two formats, and without a secret."""

import io
import json
import logging

import jwt
import pytest

from percolator import logs
from percolator.logs import LINE_BURST, LINES_PER_SECOND, UNLIMITED, RateLimitFilter

logger = logging.getLogger("percolator.somewhere")


def fail(text: str) -> None:
    """Raise an internal error."""
    raise ValueError(text)


def test_a_text_line_has_time_level_and_message(lines: io.StringIO) -> None:
    """In local time, without the name of a module."""
    logs.configure("info", "text", lines)
    logger.info("state loaded up to seq %d", 5)
    date, clock, level, message = lines.getvalue().split(maxsplit=3)
    assert (len(date), len(clock), level) == (10, 12, "info")
    assert message == "state loaded up to seq 5\n"


def test_a_json_line_is_one_object(lines: io.StringIO) -> None:
    """In UTC, with the logger, and the traceback if there is one."""
    logs.configure("info", "json", lines)
    try:
        fail("two\nlines")
    except ValueError:
        logger.exception("it failed")
    (line,) = lines.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["time"].endswith("+00:00")
    assert (fields["level"], fields["logger"]) == ("error", "percolator.somewhere")
    assert fields["message"] == "it failed"
    assert fields["error"].endswith("ValueError: two\nlines")


def test_a_traceback_follows_its_text_line(lines: io.StringIO) -> None:
    """An internal error is worth more than one line."""
    logs.configure("info", "text", lines)
    try:
        fail("why")
    except ValueError:
        logger.exception("it failed")
    first, *_, last = lines.getvalue().splitlines()
    assert first.endswith("error   it failed")
    assert last == "ValueError: why"


def test_the_text_of_an_error_cannot_control_the_terminal(lines: io.StringIO) -> None:
    """The lines of a traceback stay lines, and hold no escape."""
    logs.configure("info", "text", lines)
    try:
        fail("\x1b[31m\x07\u202e")
    except ValueError:
        logger.exception("it failed")
    assert lines.getvalue().splitlines()[-1] == r"ValueError: \x1b[31m\x07\u202e"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_logged(
    level: str, shown: list[str], lines: io.StringIO
) -> None:
    """Of libraries, only warnings and errors are logged."""
    logs.configure(level, "json", lines)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(number, "a line")
    logging.getLogger("nats").info("chatter")
    assert [json.loads(line)["level"] for line in lines.getvalue().splitlines()] == shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_text_from_a_client_cannot_start_a_line(form: str, lines: io.StringIO) -> None:
    """Line ends and terminal escapes are escaped."""
    logs.configure("info", form, lines)
    logger.info("subject %s", "a\nb\r\x1b[31mred\u2028\x00")
    (line,) = lines.getvalue().splitlines()
    assert "\x1b" not in line
    assert "\x00" not in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_token_is_never_logged(form: str, lines: io.StringIO) -> None:
    """Even if a line or a traceback contains one."""
    logs.configure("info", form, lines)
    token = jwt.encode({"exp": 1}, "s" * 32, algorithm="HS256")
    logger.info("token %s", token)
    logger.info("GET /ws?token=%s HTTP/1.1", "hunter2")
    logger.info("GET /ws?a=b&token=%s&c=d", "hunter2")
    logger.info("Authorization: Bearer %s", "hunter2")
    try:
        fail(token)
    except ValueError:
        logger.exception("failed with %s", token)
    assert "hunter2" not in lines.getvalue()
    assert "(token)" in lines.getvalue()
    for part in token.split("."):
        assert part not in lines.getvalue()


def test_each_place_is_rate_limited_and_says_how_many_lines_it_suppressed() -> None:
    """A flood of clients must not flood the log, nor hide other lines."""
    now = 0.0
    limit = RateLimitFilter(lambda: now)

    def shown(place: int) -> str | None:
        record = logging.LogRecord("x", logging.INFO, "file", place, "line %d", (place,), None)
        return record.getMessage() if limit.filter(record) else None

    assert [shown(1) for _ in range(LINE_BURST + 1_500)].count(None) == 1_500
    assert shown(2) == "line 2"
    now = 1 / LINES_PER_SECOND
    assert shown(1) == "line 1 (1,500 similar messages suppressed)"
    assert shown(1) is None
    now = 1_000.0
    assert shown(1) == "line 1 (1 similar messages suppressed)"
    assert [shown(1) for _ in range(LINE_BURST - 1)] == ["line 1"] * (LINE_BURST - 1)
    assert shown(1) is None


@pytest.mark.parametrize(
    ("level", "extra"), [(logging.DEBUG, {}), (logging.INFO, UNLIMITED)], ids=["debug", "unlimited"]
)
def test_lines_that_an_operator_asks_for_are_not_rate_limited(
    level: int, extra: dict[str, bool], lines: io.StringIO
) -> None:
    """Debug lines are asked for by the level, a summary by a signal."""
    logs.configure("debug", "text", lines)
    for number in range(LINE_BURST * 10):
        logger.log(level, "line %d", number, extra=extra)
    assert len(lines.getvalue().splitlines()) == LINE_BURST * 10
