"""Errors: the tree matches its drawing, and each error has a sentence."""

import re

import pytest

from percolator import errors
from percolator.errors import EventError, PercolatorError, RequestError

BRANCH = re.compile(
    r"^    (?P<indent>(?:│   |    )*(?:├── |└── )?)(?P<name>[A-Za-z]+)(?:  +\S.*)?$"
)


def drawn() -> dict[str, str]:
    """Return the parent of each error in the drawing; the root's is Exception."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    above: list[str] = ["Exception"]
    for line in errors.__doc__.splitlines():
        if branch := BRANCH.match(line):
            depth = len(branch["indent"]) // 4
            above = [*above[: depth + 1], branch["name"]]
            parents[branch["name"]] = above[-2]
    return parents


def defined() -> dict[str, str]:
    """Return the parent of each error class."""
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    return {each.__name__: each.__base__.__name__ for each in classes if each.__base__}


def test_the_drawing_shows_every_error_under_its_parent() -> None:
    """And no other."""
    assert drawn() == defined()


def test_the_root_catches_every_error() -> None:
    """A command handles only the root."""
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert all(issubclass(each, PercolatorError) for each in classes)


@pytest.mark.parametrize("channel", [None, "price:SOL"])
def test_the_text_of_an_error_is_its_sentence(channel: str | None) -> None:
    """Codes and channels are attributes."""
    request = RequestError("slab_limit", "The market is full.", channel)
    assert (str(request), request.code, request.channel) == (
        "The market is full.",
        "slab_limit",
        channel,
    )
    event = EventError("invalid_json", "It is not JSON.")
    assert (str(event), event.reason) == ("It is not JSON.", "invalid_json")


@pytest.mark.parametrize("is_final", [True, False])
def test_a_refused_upgrade_says_whether_another_attempt_would_get_it_again(
    is_final: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """And it is a gateway that cannot be reached."""
    error = errors.UpgradeRefusedError("no", is_final=is_final)
    assert (str(error), error.is_final) == ("no", is_final)
    assert isinstance(error, errors.GatewayUnreachableError)
