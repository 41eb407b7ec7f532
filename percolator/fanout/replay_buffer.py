"""The replay buffer: what a client is sent from the stream itself, before a log takes over.

A client may resume from further back than a log reaches. Its cursor is then *held* for that
channel: somebody outside fetches what it lacks, page by page, and adds it here; the hub sends it
in the client's turns, as everything else, and calls `on_drained` when it runs low. Once the buffer
reaches what the log holds, the cursor goes on in the log, with no hole and no double.
"""

from collections import deque
from collections.abc import Callable


class ReplayBuffer:
    """Framed events of one channel, in order, for one client."""

    __slots__ = ("_frames", "complete", "fetched_through", "on_drained", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """Everything up to here has been sent to the client, or never was on the channel."""
        self.fetched_through = seq
        """Everything up to here has been added."""
        self.complete = False
        """True where no more will be added, whether or not it has reached the log."""
        self.on_drained: Callable[[], None] = lambda: None
        """Called when it has become shorter, and when it is not wanted any more."""
        self._frames: deque[tuple[int, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, seq: int, frame: bytes) -> None:
        """Add the next event."""
        self._frames.append((seq, frame))

    def take(self, most: int) -> list[bytes]:
        """Take what is to be sent now: about `most` bytes, but one frame at least."""
        taken: list[bytes] = []
        size = 0
        while self._frames:
            seq, frame = self._frames[0]
            size += len(frame)
            if size > most and taken:
                break
            self._frames.popleft()
            self.seq = seq
            taken.append(frame)
        if not self._frames:
            self.seq = max(self.seq, self.fetched_through)
        return taken
