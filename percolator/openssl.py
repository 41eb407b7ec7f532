"""What OpenSSL says about a TLS handshake that failed, in its own words."""

import ssl


def reason(error: ssl.SSLError) -> str:
    """Return the cause: `certificate has expired`, `Missing Authority Key Identifier`, ..."""
    verification = getattr(error, "verify_message", "")
    return verification.rstrip(".") or (error.reason or str(error)).replace("_", " ").lower()
