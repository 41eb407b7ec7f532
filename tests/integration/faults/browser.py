"""The browser of the fault suite: one Chromium for all of its scenarios, a tab for each."""

import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from threading import Lock

from tests.browser.chromium import FLAGS, find
from tests.nats_server import LOOPBACK

AWAKE = [
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--disable-backgrounding-occluded-windows",
]
"""Of many tabs only one is in front; the others must run as it does."""
START_SECONDS = 40.0


class Chromium:
    """Starts when its first tab is opened. Each call blocks until it has taken effect."""

    def __init__(self) -> None:
        self._starting = Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def open(self, url: str) -> str:
        """Open a page in a tab of its own; returns the tab's ID."""
        with self._starting:
            if self._process is None:
                self._start()
        tab: str = json.loads(self._ask("PUT", f"/json/new?{url}"))["id"]
        return tab

    def close(self, tab: str) -> None:
        """Close a tab."""
        self._ask("GET", f"/json/close/{tab}")

    def stop(self) -> None:
        """End it if it runs, and remove its files."""
        if self._process is None or self._folder is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()
        self._process = None

    def _start(self) -> None:
        path = find()
        assert path is not None
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        options = ["--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [path, *FLAGS, *AWAKE, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        said = folder / "DevToolsActivePort"
        while not (said.exists() and (text := said.read_text())):
            assert time.monotonic() < deadline, "Chromium does not start"
            time.sleep(0.02)
        self._port = int(text.split()[0])

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=START_SECONDS)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


CHROMIUM = Chromium()
"""The one that all scenarios of a test run share."""
