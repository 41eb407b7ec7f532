"""TLS of the gateway's port: the certificate files, read at startup and again on request."""

import logging
import ssl
from pathlib import Path

from percolator import openssl
from percolator.errors import SettingsError

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key in PEM; the gateway listens with `context`."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises SettingsError if the files are unusable."""
        self._cert = cert
        self._key = key
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again for new connections; open connections are not affected.

        Unusable files change nothing, and are logged.
        """
        try:
            self._load()  # test the pair first: a mismatch would leave the context with half of it
        except SettingsError as error:
            logger.error("the TLS certificate was not reloaded: %s", error)  # noqa: TRY400 - no traceback
            return
        self._load_into(self.context)
        logger.info("the TLS certificate was reloaded from %s", self._cert)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            openssl.load_pair(context, self._cert, self._key)
        except ValueError as error:
            raise SettingsError(f"settings tls_cert and tls_key: {error}") from None


def certificate(cert: Path | None, key: Path | None) -> Certificate | None:
    """Return the certificate, None if no files are configured. Raises SettingsError."""
    return None if cert is None or key is None else Certificate(cert, key)
