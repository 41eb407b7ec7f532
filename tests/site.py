"""A site with TLS for tests: certificate files for a gateway, and clients that trust them."""

import asyncio
import ssl
from pathlib import Path

from websockets.asyncio.client import connect

from tests.certificates import Authority


class Site:
    """The certificate files of a gateway, the authority that signs them, and a trusting client."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.settings = {"tls_cert": self.cert, "tls_key": self.key}
        self.trusting = ssl.create_default_context(cafile=self._authority.file)
        self.issue("first")

    def issue(self, name: str, *, password: bytes | None = None) -> None:
        """Replace the certificate and its key."""
        self._authority.issue(self.cert, self.key, name, password=password)

    def client(self, port: int) -> connect:
        """Connect with the websockets library."""
        return connect(f"wss://127.0.0.1:{port}/ws", ssl=self.trusting, compression=None)

    async def presented(self, port: int) -> str:
        """Return the name in the certificate that a new connection gets."""
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.trusting)
        certificate = writer.get_extra_info("peercert")
        writer.transport.abort()
        name: str = dict(pair for part in certificate["subject"] for pair in part)["commonName"]
        return name
