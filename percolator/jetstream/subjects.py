"""The subjects of a stream: which kinds it takes, and how to add the others.

A stream of an older version lacks the kinds that came since. A gateway serves what is there, and
says how to add the rest.
"""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from percolator.model.channel import SUBJECTS
from percolator.model.kinds import Kind


def taken(subjects: Sequence[str]) -> list[Kind]:
    """Return the kinds that a stream with these subjects takes."""
    return [kind for kind, own in SUBJECTS.items() if any(covers(each, own) for each in subjects)]


class Growth(NamedTuple):
    """What a stream lacks, in a word and in a sentence, and the command that adds it."""

    about: str
    lacks: str
    command: str


def growth(stream: str, subjects: Sequence[str]) -> Growth | None:
    """Return the kinds that a stream lacks, with the command to add them; None if it has all."""
    known = taken(subjects)
    lacking = [kind.name for kind in SUBJECTS if kind not in known]
    if not lacking:
        return None
    # NATS refuses a stream whose subjects overlap: ours take the place of narrower ones.
    kept = [each for each in subjects if not any(covers(own, each) for own in SUBJECTS.values())]
    added = [own for own in SUBJECTS.values() if not any(covers(each, own) for each in kept)]
    command = f"nats stream edit {stream} --subjects {shlex.quote(','.join([*kept, *added]))}"
    names = " or ".join(filter(None, (", ".join(lacking[:-1]), lacking[-1])))
    text = f"the stream {stream} takes no {names} events"
    return Growth("kinds", text, command)


def covers(pattern: str, subject: str) -> bool:
    """True if a NATS subject pattern takes everything that another pattern, or a subject, takes."""
    ours, theirs = pattern.split("."), subject.split(".")
    for at, part in enumerate(ours):
        if part == ">":
            return len(theirs) > at
        if at >= len(theirs) or theirs[at] == ">" or part not in ("*", theirs[at]):
            return False
    return len(ours) == len(theirs)
