"""Bookmarks: how far a program has read its channels, to store and to go on from later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from pydantic import TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic_core import to_json

from percolator.model.server_messages import Epoch, Seq


class Position(NamedTuple):
    """The seq of the newest event that is known, and the epoch of its stream, if that is known."""

    epoch: Epoch | None
    seq: Seq


_POSITIONS = TypeAdapter(dict[str, Position])


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The position of each lossless channel, by its name; a wildcard has one for all markets."""

    positions: Mapping[str, Position]

    def of(self, channel: str) -> Position | None:
        """Return the position of a channel, or of the wildcard that it was read through."""
        wildcard = f"{channel.partition(':')[0]}:*"
        return self.positions.get(channel, self.positions.get(wildcard))

    def to_json(self) -> str:
        """Return it as text."""
        return to_json({name: list(each) for name, each in self.positions.items()}).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` has written. Raises ValueError."""
        try:
            return cls(_POSITIONS.validate_json(text, strict=True))
        except Invalid:
            raise ValueError("this is not a bookmark") from None
