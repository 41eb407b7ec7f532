"""TLS to NATS: the files that settings name, read for each connection, so that they may change."""

import ssl

from percolator import openssl
from percolator.errors import NatsUnfitError
from percolator.jetstream.address import NatsAddress


def context(address: NatsAddress) -> ssl.SSLContext:
    """Return what servers are checked with, and what is shown to them.

    Raises NatsUnfitError, which names the setting, if a file cannot be used.
    """
    try:
        made = openssl.trusting(address.tls_ca)
    except ValueError as error:
        raise NatsUnfitError(f"setting nats_tls_ca: {error}") from None
    if address.tls_cert is not None and address.tls_key is not None:
        try:
            openssl.load_pair(made, address.tls_cert, address.tls_key)
        except ValueError as error:
            raise NatsUnfitError(f"settings nats_tls_cert and nats_tls_key: {error}") from None
    return made
