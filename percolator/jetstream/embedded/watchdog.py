"""The process between the gateway and its nats-server: it ends the server when the gateway ends.

Run as a script by `embedded`, in an interpreter without site-packages; it therefore imports
the standard library alone, and nothing imports it.

Standard input is a pipe whose other end only the gateway has. The kernel closes that end
however the gateway ends, kill -9 included, so that end of file means: the gateway is gone,
or wants the server gone. Standard output tells the gateway, a line each, what came of it:

    busy                the store is in use by another server
    locked              the store is ours; a line on standard input starts the server
    failed REASON       what the operating system refused
    started PID         the server runs; the watchdog now ends with the server's exit code

Arguments: the lock file, the seconds to wait for it, the seconds between asking the server to end
and killing it, then the server's command line.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
try:
    import ctypes
except ImportError:  # a Python that was built without libffi
    ctypes = None  # type: ignore[assignment]

_LOCK_RETRY_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_LOCKED_BYTE = 1 << 30  # far behind the process id, which others must be able to read on Windows


def main(lock_file: str, lock_seconds: float, grace_seconds: float, command: Sequence[str]) -> int:
    """Lock the store, run `command`, end it when the gateway is gone.

    Gives its exit code, or 128 and the signal that ended it.
    """
    _outlive_the_gateway()
    try:
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        if not _acquire(lock, lock_seconds):
            _say("busy")
            return 1
        _say("locked")
        if not _gateway_goes_on():
            return 0
        server = _run(command, lock)
    except OSError as error:
        _say(f"failed {error.strerror or error}")
        return 1
    threading.Thread(target=_end_with_gateway, args=(server, grace_seconds), daemon=True).start()
    _note(lock, server.pid)
    _say(f"started {server.pid}")
    code = server.wait()
    return code if code >= 0 else 128 - code


def _outlive_the_gateway() -> None:
    # A `pkill python` reaches the gateway too, which then drains with its NATS still there.
    # A handler rather than SIG_IGN, because the server would inherit the latter.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)


def _acquire(lock: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOCK_RETRY_SECONDS)
    return True


def _try_lock(lock: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(lock, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
            os.lseek(lock, 0, os.SEEK_SET)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.lseek(lock, 0, os.SEEK_SET)
        return False
    return True


def _gateway_goes_on() -> bool:
    try:
        return os.read(0, 16) != b""
    except OSError:
        return False


def _run(command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
    # What the server prints before it has its log goes where our own standard error goes.
    # It inherits the lock as well: the store is free only when the server itself is gone.
    return subprocess.Popen(  # noqa: S603 - the command is the gateway's
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=2,
        pass_fds=() if sys.platform == "win32" else (lock,),
        preexec_fn=_die_with_watchdog(),  # noqa: PLW1509 - there is no other thread yet
    )


def _die_with_watchdog() -> Callable[[], None] | None:
    """What the server runs before its exec, so that it cannot outlive a killed watchdog.

    Linux alone can do that. The signal comes when the *thread* that started the server ends,
    and here that is the main thread, which ends with the process.
    """
    prepare = None
    if sys.platform == "linux" and ctypes is not None:
        prctl = ctypes.CDLL(None).prctl
        kill = ctypes.c_ulong(signal.SIGKILL)
        watchdog = os.getpid()

        def arm() -> None:
            prctl(_PR_SET_PDEATHSIG, kill)
            if os.getppid() != watchdog:
                os._exit(1)  # it died before the kernel was told

        prepare = arm
    return prepare


def _end_with_gateway(server: subprocess.Popen[bytes], grace_seconds: float) -> None:
    while _gateway_goes_on():
        pass
    server.terminate()
    time.sleep(grace_seconds)
    server.kill()


def _note(lock: int, pid: int) -> None:
    with contextlib.suppress(OSError):  # a full disk: the next one does not learn who we are
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, b"%d\n" % pid)


def _say(line: str) -> None:
    # A gateway that is gone reads no more; the end of standard input says so too.
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    # _exit: the reading thread must not hold up the interpreter's end.
    os._exit(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
