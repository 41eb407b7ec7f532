"""Certificates for tests: an authority of their own, and what it signs for loopback."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = dt.timedelta(days=1)
PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
HOSTS = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Strict verification, which Python 3.13 has on, wants each key to say what it is for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates for localhost and 127.0.0.1; `file` holds its own, to be trusted."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = (
            self._builder("tests", self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._sign(own))

    def issue(
        self,
        cert: Path,
        key: Path,
        name: str,
        *,
        password: bytes | None = None,
        hosts: Sequence[x509.GeneralName] = HOSTS,
        expired: bool = False,
        names_authority: bool = True,
    ) -> None:
        """Write a certificate for these hosts, and its key."""
        private = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(name, private, expired=expired, names_authority=names_authority)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(PURPOSES), critical=False)
        )
        cert.write_bytes(self._sign(builder))
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))

    def _builder(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        expired: bool = False,
        names_authority: bool = True,
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC) - (2 * LIFE if expired else dt.timedelta())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("tests"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LIFE)
            .not_valid_after(now + LIFE)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if not names_authority:
            return builder
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False)

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
