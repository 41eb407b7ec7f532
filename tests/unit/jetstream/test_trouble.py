"""The feed's trouble: one line per change, with what NATS said."""

import logging

import nats.errors
import pytest
from nats.js.errors import ServerError

from percolator.jetstream.errors import ConsumerError
from percolator.jetstream.failures import words
from percolator.jetstream.trouble import NOT_STARTED, Trouble


def test_trouble_is_logged_when_it_changes_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However many attempts there are."""
    caplog.set_level(logging.INFO)
    trouble = Trouble()
    assert trouble.text == NOT_STARTED
    trouble.end(0)
    for text in ("a", "a", "b", "b", "a"):
        trouble.note(ConsumerError(text), 7)
    trouble.end(7)
    trouble.end(8)
    assert trouble.text == ""
    assert caplog.messages == [
        *(f"feed: {text}; retrying, will resume after seq 7" for text in "aba"),
        "feed: reading again, after seq 7",
    ]


def test_what_nats_said_on_the_connection_is_part_of_the_trouble() -> None:
    """Unless the error quotes it."""
    trouble = Trouble()
    trouble.said = "User Authentication Expired"
    trouble.note(ConsumerError("the connection to NATS has ended"), 0)
    assert trouble.text == (
        "the connection to NATS has ended (NATS said: User Authentication Expired)"
    )
    trouble.note(ConsumerError("NATS: User Authentication Expired"), 0)
    assert trouble.text == "NATS: User Authentication Expired"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (nats.errors.TimeoutError(), "no answer in time"),
        (nats.errors.NoRespondersError(), "JetStream does not respond"),
        (ServerError(), "JetStream does not respond"),
        (
            ServerError(code=500, err_code=1, description="insufficient memory"),
            "insufficient memory",
        ),
        (nats.errors.ConnectionClosedError(), "connection lost"),
        (ConsumerError("silent"), "silent"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_is_in_words(error: Exception, said: str) -> None:
    """In those of NATS, if there are any."""
    assert words(error) == said
