"""What the embedded nats-server has on disk: its folder, configuration, store and log.

Files only; the process is `embedded`'s.
"""

import errno
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from percolator.errors import EmbeddedNatsError

SYNC_SECONDS = 10
"""How old an event is at most that a power cut takes away; nats-server's own default is 120 s."""
MIN_FREE_BYTES = 32 * 1024**2
"""Four of JetStream's blocks: with less, the first events would fill the disk."""

HINT = "choose another with --data-dir"
_COMPLAINT = re.compile(r"\[(?:FTL|ERR)\] (.+)")
_COMPLAINT_CHARACTERS = 200
_OUTPUT_BYTES = 1024**2
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DataFolder:
    """The data folder at `path`, in which everything of nats-server is under `nats`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.nats = self.path / "nats"
        self.lock = self.nats / "nats-server.lock"
        self.config = self.nats / "nats-server.conf"
        self.log = self.nats / "nats-server.log"
        self.output = self.nats / "nats-server.out"
        """What it prints before it has its log, and when it crashes."""
        self._read: dict[Path, int] = {}

    def make(self) -> None:
        """Make the folder where it is missing. Raises EmbeddedNatsError where it cannot be used."""
        try:
            self.nats.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.nats).free
        except OSError as error:
            raise self.unusable(error) from None
        if free < MIN_FREE_BYTES:
            raise self._full(free)

    def configure(self, host: str, port: int) -> None:
        """Write the configuration. Only who holds the lock may do that.

        Raises EmbeddedNatsError.
        """
        try:
            for stale in self.nats.glob("*.ports"):
                stale.unlink()
            if _size(self.output) > _OUTPUT_BYTES:
                self.output.write_bytes(b"")
            text = self._configuration(host, port)
            self.config.write_text(text, encoding="utf-8", errors="surrogateescape")
            self._read = {file: _size(file) for file in (self.log, self.output)}
        except OSError as error:
            raise self.unusable(error) from None

    def _configuration(self, host: str, port: int) -> str:
        return (
            "# Written by percolator at each start of its nats-server.\n"
            "server_name: percolator-embedded\n"
            f"host: {json.dumps(host)}\n"
            f"port: {port or -1}\n"
            f"ports_file_dir: {_quoted(self.nats)}\n"
            f"log_file: {_quoted(self.log)}\n"
            "log_size_limit: 4MB\n"
            "logfile_max_num: 3\n"
            "jetstream {\n"
            f"  store_dir: {_quoted(self.nats)}\n"
            # By default it is 75 % of what is free at the start: less each time, until a
            # restart leaves a store that is over its limit and takes nothing any more.
            "  max_file_store: 1TB\n"
            f'  sync_interval: "{SYNC_SECONDS}s"\n'
            "}\n"
        )

    def port(self, pid: int) -> int | None:
        """Give the port that the server with this process id listens on, once it does."""
        for file in self.nats.glob(f"*_{pid}.ports"):
            try:
                url: str = json.loads(file.read_text())["nats"][0]
                return urlsplit(url).port
            except (OSError, ValueError):
                pass  # half written
        return None

    def complaint(self) -> str | None:
        """Give the first error that the server has logged since `configure`, cut, or None."""
        found = _COMPLAINT.search(_tail(self.log, self._read))
        if found:
            return found[1][:_COMPLAINT_CHARACTERS]
        lines = _tail(self.output, self._read).splitlines()
        return lines[0][:_COMPLAINT_CHARACTERS] if lines else None

    def bytes_stored(self) -> int:
        """Give the size of the store."""
        # Other than rglob, walk minds no folder that vanishes under it: the server may be at work.
        return sum(
            _size(Path(folder, file))
            for folder, _, files in os.walk(self.nats)
            for file in files
            if file.endswith(".blk")
        )

    def holder(self) -> int | None:
        """Give the process id of the server that has, or had, the store."""
        try:
            return int(self.lock.read_text())
        except (OSError, ValueError):
            return None

    def unusable(self, error: OSError) -> EmbeddedNatsError:
        """Say what the operating system refused here."""
        if error.errno in _FULL:
            return self._full(0)
        not_a_folder = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is not a folder" if not_a_folder else error.strerror
        return EmbeddedNatsError(f"the data folder {self.path} cannot be used ({reason}): {HINT}")

    def _full(self, free: int) -> EmbeddedNatsError:
        mib = 1024**2
        return EmbeddedNatsError(
            f"the disk of the data folder {self.path} is full ({free // mib} MiB free, "
            f"{MIN_FREE_BYTES // mib} MiB needed): make room, or {HINT}"
        )


def _quoted(path: Path) -> str:
    # In double quotes the backslash escapes, as in JSON.
    return json.dumps(str(path), ensure_ascii=False)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _tail(file: Path, read: dict[Path, int]) -> str:
    try:
        data = file.read_bytes()
    except OSError:
        return ""
    start = read.get(file, 0)
    # Shorter than before: it has been rotated, and all of it is new.
    return data[start if start <= len(data) else 0 :].decode("utf-8", "replace")
