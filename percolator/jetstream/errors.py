"""Errors that make the feed start again. They stay in this room: users see percolator.errors."""


class ConsumerError(Exception):
    """The consumer can no longer be trusted; the text gives the reason."""


class SequenceGapError(ConsumerError):
    """The consumer skipped seqs that the stream no longer holds."""


class StreamChangedError(Exception):
    """The stream went back, or was replaced while the feed was asking about it."""
