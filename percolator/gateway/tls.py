"""TLS of the gateway's own port: the certificate's files, read at the start and again on demand."""

import logging
import ssl
from pathlib import Path

from percolator.errors import SettingsError

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, both PEM; `context` is what the gateway listens with."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises SettingsError where the two cannot be used."""
        self._cert = cert
        self._key = key
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again, for connections to come; those that are open go on as they are.

        Files that cannot be used change nothing, and are complained of in the log.
        """
        try:
            self._load()  # a pair that does not fit would leave half of itself in the context
        except SettingsError as error:
            logger.error("the TLS certificate stays as it is: %s", error)  # noqa: TRY400 - it says why
            return
        self._load_into(self.context)
        logger.info("the TLS certificate was read again from %s", self._cert)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            # An empty password: a key that needs one is refused, and nobody is asked for it.
            context.load_cert_chain(self._cert, self._key, password="")
        except ssl.SSLError as error:
            raise SettingsError(f"settings tls_cert and tls_key: {self._why(error)}") from None
        except OSError as error:
            raise SettingsError(
                f"settings tls_cert and tls_key: {error.filename or self._cert} cannot be read "
                f"({error.strerror})"
            ) from None

    def _why(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key in {self._key} is not that of the certificate in {self._cert}"
        return (
            f"{self._cert} and {self._key} must hold a certificate chain and its key in PEM, "
            "the key without a password"
        )


def certificate(cert: Path | None, key: Path | None) -> Certificate | None:
    """Give the certificate, if there is to be one. Raises SettingsError."""
    return None if cert is None or key is None else Certificate(cert, key)
