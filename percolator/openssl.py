"""What OpenSSL says about a handshake that failed or a file that it refuses, in plain words."""

import ssl
from pathlib import Path


def reason(error: ssl.SSLError) -> str:
    """Return the cause: `certificate has expired`, `Missing Authority Key Identifier`, ..."""
    verification = getattr(error, "verify_message", "")
    return verification.rstrip(".") or (error.reason or str(error)).replace("_", " ").lower()


def load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Load a certificate chain and its key. Raises ValueError, which says what is wrong."""
    try:
        # With an empty password, a protected key is refused; otherwise OpenSSL would prompt.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise ValueError(_fault(error, cert, key)) from None
    except OSError as error:
        raise ValueError(_unreadable(cert, key) or str(error)) from None


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """Return a context for clients that trusts the authorities of a file, or those of the system.

    Raises ValueError, which says what is wrong with the file.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        raise ValueError(f"{authorities} holds no certificate in PEM") from None
    except OSError as error:
        raise ValueError(f"{authorities} cannot be read ({error.strerror})") from None


def _fault(error: ssl.SSLError, cert: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key} does not match the certificate in {cert}"
    # OpenSSL says no more than "PEM lib" about either file.
    if b"-----BEGIN CERTIFICATE-----" not in cert.read_bytes():
        return f"{cert} holds no certificate in PEM"
    text = key.read_bytes()
    if b"PRIVATE KEY-----" not in text:
        return f"{key} holds no private key in PEM"
    if b"ENCRYPTED" in text:
        return f"the key in {key} has a password: write the key without a password"
    return f"{cert} and {key} must hold a certificate chain and its key in PEM"


def _unreadable(*files: Path) -> str:
    """Name the first of these files that cannot be read; OpenSSL does not."""
    for file in files:
        try:
            file.read_bytes()
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return ""
