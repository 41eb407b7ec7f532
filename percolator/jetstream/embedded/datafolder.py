"""The files of the embedded nats-server: folder, configuration, store and log.

Files only; `server.py` runs the process.
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
"""A power cut loses the events of at most this many seconds; nats-server's default is 120."""
MIN_FREE_BYTES = 32 * 1024**2
"""Four of JetStream's blocks: with less, the first events could fill the disk."""

OWNER_ONLY = 0o700
OWNER_FILE = 0o600

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The hosts in an address of an embedded server."""
HINT = "choose another with --data-dir"
_COMPLAINT = re.compile(r"\[(?:FTL|ERR)\] (.+)")
_COMPLAINT_CHARACTERS = 200
_OUTPUT_BYTES = 1024**2
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DataFolder:
    """The data folder at `path`. All files of nats-server are in its subfolder `nats`.

    Only its owner can read them. The server requires the token in one of them, so that only
    programs of the same user can publish events.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.nats = self.path / "nats"
        self.lock = self.nats / "nats-server.lock"
        self.config = self.nats / "nats-server.conf"
        self.token = self.nats / "nats-server.token"
        self.log = self.nats / "nats-server.log"
        self.output = self.nats / "nats-server.out"
        """Output of the server from before it opens its log, and of crashes."""
        self._read: dict[Path, int] = {}

    def make(self) -> None:
        """Create the folder if it is missing; take it from others if it exists.

        Raises EmbeddedNatsError if it cannot be used.
        """
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                self.path.chmod(OWNER_ONLY)
            self.nats.mkdir(exist_ok=True)
            self.nats.chmod(OWNER_ONLY)
            free = shutil.disk_usage(self.nats).free
        except OSError as error:
            raise self.unusable(error) from None
        if free < MIN_FREE_BYTES:
            raise self._full(free)

    def configure(self, host: str, port: int, token: str) -> None:
        """Write configuration and token; the caller must hold the lock.

        Raises EmbeddedNatsError.
        """
        try:
            for stale in self.nats.glob("*.ports"):
                stale.unlink()
            if _size(self.output) > _OUTPUT_BYTES:
                self.output.write_bytes(b"")
            _write_secret(self.token, token)
            _write_secret(self.config, self._configuration(host, port, token))
            self._read = {file: _size(file) for file in (self.log, self.output)}
        except OSError as error:
            raise self.unusable(error) from None

    def _configuration(self, host: str, port: int, token: str) -> str:
        return (
            "# Written by percolator at each start of its nats-server.\n"
            "server_name: percolator-embedded\n"
            f"host: {json.dumps(host)}\n"
            f"port: {port or -1}\n"
            f"authorization {{ token: {json.dumps(token)} }}\n"
            f"ports_file_dir: {_quoted(self.nats)}\n"
            f"log_file: {_quoted(self.log)}\n"
            "log_size_limit: 4MB\n"
            "logfile_max_num: 3\n"
            "jetstream {\n"
            f"  store_dir: {_quoted(self.nats)}\n"
            # The default is 75 % of the free space at the start. That shrinks with each restart,
            # until the store is over its limit and accepts nothing.
            "  max_file_store: 1TB\n"
            f'  sync_interval: "{SYNC_SECONDS}s"\n'
            "}\n"
        )

    def port(self, pid: int | None = None) -> int | None:
        """Return the port that its server, or the one with this process id, listens on, if any."""
        for file in self.nats.glob(f"*_{'*' if pid is None else pid}.ports"):
            try:
                url: str = json.loads(file.read_text())["nats"][0]
                return urlsplit(url).port
            except (OSError, ValueError):
                pass  # not fully written yet
        return None

    def complaint(self) -> str | None:
        """The first error that the server has logged since `configure`, truncated, or None."""
        found = _COMPLAINT.search(_tail(self.log, self._read))
        if found:
            return found[1][:_COMPLAINT_CHARACTERS]
        lines = _tail(self.output, self._read).splitlines()
        return lines[0][:_COMPLAINT_CHARACTERS] if lines else None

    def bytes_stored(self) -> int:
        """Return the size of the store."""
        # Unlike rglob, walk tolerates folders that vanish meanwhile: the server may be running.
        return sum(
            _size(Path(folder, file))
            for folder, _, files in os.walk(self.nats)
            for file in files
            if file.endswith(".blk")
        )

    def holder(self) -> int | None:
        """Return the process id of the server that uses, or used, the store."""
        try:
            return int(self.lock.read_text())
        except (OSError, ValueError):
            return None

    def unusable(self, error: OSError) -> EmbeddedNatsError:
        """Return the error for something that the operating system refused in this folder."""
        if error.errno in _FULL:
            return self._full(0)
        not_a_folder = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is not a folder" if not_a_folder else error.strerror
        return EmbeddedNatsError(f"the data folder {self.path} cannot be used ({reason}): {HINT}")

    def _full(self, free: int) -> EmbeddedNatsError:
        mib = 1024**2
        return EmbeddedNatsError(
            f"the disk of the data folder {self.path} is full ({free // mib} MiB free, "
            f"{MIN_FREE_BYTES // mib} MiB needed): free some space, or {HINT}"
        )


def token_for(data_dir: Path, url: str) -> str | None:
    """Return the token of an embedded server; None if `url` is not that of this folder's server.

    It is sent to no other server, which could belong to another user.
    """
    folder = DataFolder(data_dir)
    try:
        parts = urlsplit(url)
        if parts.username or parts.port is None or parts.hostname not in LOOPBACK:
            return None
        return folder.token.read_text() if parts.port == folder.port() else None
    except (OSError, ValueError):
        return None


def _write_secret(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as opened:
        file.chmod(OWNER_FILE)  # it may exist
        opened.write(text)


def _quoted(path: Path) -> str:
    # In double quotes, the backslash escapes as in JSON.
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
    # Shorter than before: the file was rotated, so all of it is new.
    return data[start if start <= len(data) else 0 :].decode("utf-8", "replace")
