"""The tree of errors: as it is drawn, and each with what it says of itself."""

import re

import pytest

from percolator import errors
from percolator.errors import EventError, PercolatorError, RequestError

BRANCH = re.compile(
    r"^    (?P<indent>(?:│   |    )*(?:├── |└── )?)(?P<name>[A-Za-z]+)(?:  +\S.*)?$"
)


def drawn() -> dict[str, str]:
    """The parent of each error in the drawing, by name; the root's is Exception."""
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
    """The parent of each error that there is."""
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    return {one.__name__: one.__base__.__name__ for one in classes if one.__base__}


def test_the_drawing_is_right() -> None:
    """Each error is in it, under its parent, and no other."""
    assert drawn() == defined()


def test_one_root_catches_all() -> None:
    """A command needs to know one of them."""
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    assert all(issubclass(one, PercolatorError) for one in classes)


@pytest.mark.parametrize("channel", [None, "price:SOL"])
def test_an_error_says_its_sentence(channel: str | None) -> None:
    """What else it carries stands beside it."""
    request = RequestError("slab_limit", "The market is full.", channel)
    assert (str(request), request.code, request.channel) == (
        "The market is full.",
        "slab_limit",
        channel,
    )
    event = EventError("invalid_json", "It is not JSON.")
    assert (str(event), event.reason) == ("It is not JSON.", "invalid_json")
