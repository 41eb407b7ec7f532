"""The replay buffer: what a client is sent from the stream itself, before a log takes over.

A client may resume from further back than a log reaches. Its cursor is then *replaying* that
channel: the replayer fetches what it lacks, page by page, and adds it here; the hub sends it in the
client's turns, like everything else, and calls `on_drained` when the buffer gets shorter. Once the
buffer reaches what the log holds, the cursor goes on in the log, with no hole and no double.
"""

from collections import deque
from collections.abc import Callable

from percolator.fanout.log import Position
from percolator.fanout.lossless_log import LosslessLog


class ReplayBuffer:
    """Framed events of one channel, in order, for one client."""

    __slots__ = ("_frames", "complete", "fetched_through", "log", "on_drained", "origin", "seq")

    def __init__(self, log: LosslessLog, seq: int) -> None:
        self.log = log
        """The log that takes over."""
        self.seq = seq
        """Everything up to here has been sent to the client, or never was on the channel."""
        self.fetched_through = seq
        """Everything up to here has been added."""
        self.origin: tuple[int, str] | None = None
        """The seq and epoch that the client has resumed from, until it has been sent anything."""
        self.complete = False
        """True if no more will be added, whether or not it has reached the log."""
        self.on_drained: Callable[[], None] = lambda: None
        """Called when the buffer has become shorter, and when it is no longer needed."""
        self._frames: deque[tuple[int, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, seq: int, frame: bytes) -> None:
        """Add the next event."""
        self._frames.append((seq, frame))

    def pop(self, max_bytes: int) -> list[bytes]:
        """Remove and return the next frames: about `max_bytes`, but at least one."""
        taken: list[bytes] = []
        size = 0
        while self._frames:
            seq, frame = self._frames[0]
            size += len(frame)
            if size > max_bytes and taken:
                break
            self._frames.popleft()
            self.seq, self.origin = seq, None
            taken.append(frame)
        if not self._frames:
            self.seq = max(self.seq, self.fetched_through)
        return taken

    @property
    def reaches_log(self) -> bool:
        """True once the log holds everything that follows what was sent."""
        return self.log.reaches(self.seq)

    @property
    def position(self) -> Position:
        """Where in the log the client goes on."""
        return self.log.position_after(self.seq)
