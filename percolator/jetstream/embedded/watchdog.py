"""The process between the gateway and its nats-server: it ends the server when the gateway ends.

`server.py` runs it as a script, in an interpreter without site-packages. So it imports only the
standard library, and nothing imports it.

Standard input is a pipe whose other end only the gateway has. The kernel closes that end however
the gateway ends, kill -9 included. So end of file means that the gateway is gone, or wants the
server gone. Standard output reports to the gateway, one line per event:

    busy                the store is in use by another server
    locked              the store is ours; a line on standard input starts the server
    failed REASON       the operating system refused something
    started PID         the server runs; the watchdog now ends with the server's exit code

Arguments: the lock file, the seconds to wait for it, the seconds from asking the server to end to
killing it, then the server's command line.
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
except ImportError:  # this Python was built without libffi
    ctypes = None  # type: ignore[assignment]

_LOCK_RETRY_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_LOCKED_BYTE = 1 << 30  # far behind the process id, which must stay readable on Windows


def main(lock_file: str, lock_seconds: float, grace_seconds: float, command: Sequence[str]) -> int:
    """Lock the store, run `command`, and end it when the gateway is gone.

    Returns its exit code, or 128 plus the number of the signal that ended it.
    """
    _outlive_the_gateway()
    try:
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        if not _acquire(lock, lock_seconds):
            _report("busy")
            return 1
        _report("locked")
        if not _gateway_alive():
            return 0
        server = _run(command, lock)
    except OSError as error:
        _report(f"failed {error.strerror or error}")
        return 1
    threading.Thread(target=_end_with_gateway, args=(server, grace_seconds), daemon=True).start()
    _write_pid(lock, server.pid)
    _report(f"started {server.pid}")
    code = server.wait()
    return code if code >= 0 else 128 - code


def _outlive_the_gateway() -> None:
    # A `pkill python` reaches the gateway too, which must drain while its NATS is still there.
    # A handler and not SIG_IGN, because the server would inherit SIG_IGN.
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


def _gateway_alive() -> bool:
    try:
        return os.read(0, 16) != b""
    except OSError:
        return False


def _run(command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
    # Before the server opens its log, its output goes to our standard error.
    # The server inherits the lock: the store is free only when the server itself is gone.
    return subprocess.Popen(  # noqa: S603 - the command is the gateway's
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=2,
        pass_fds=() if sys.platform == "win32" else (lock,),
        preexec_fn=_die_with_watchdog(),  # noqa: PLW1509 - no other thread runs yet
    )


def _die_with_watchdog() -> Callable[[], None] | None:
    """The function that the server runs before its exec, so it cannot outlive a killed watchdog.

    Only Linux supports it. The signal comes when the *thread* that started the server ends; here
    that is the main thread, which ends with the process.
    """
    prepare = None
    if sys.platform == "linux" and ctypes is not None:
        prctl = ctypes.CDLL(None).prctl
        kill = ctypes.c_ulong(signal.SIGKILL)
        watchdog = os.getpid()

        def arm() -> None:
            prctl(_PR_SET_PDEATHSIG, kill)
            if os.getppid() != watchdog:
                os._exit(1)  # the watchdog died before prctl

        prepare = arm
    return prepare


def _end_with_gateway(server: subprocess.Popen[bytes], grace_seconds: float) -> None:
    while _gateway_alive():
        pass
    server.terminate()
    time.sleep(grace_seconds)
    server.kill()


def _write_pid(lock: int, pid: int) -> None:
    with contextlib.suppress(OSError):  # disk full: the next server cannot name ours
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, b"%d\n" % pid)


def _report(line: str) -> None:
    # A gateway that is gone no longer reads; the end of standard input shows that too.
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    # _exit: the reading thread must not delay the exit.
    os._exit(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
