"""A certificate authority of a test's own, and certificates from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Writes its own certificate, `authority.pem`, and those that it issues, each with its key, into a folder."""

    def __init__(self, folder: Path, name: str = "A test's authority") -> None:
        self.folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._write("authority.pem", self._name, self._key, constraints)

    def server(self, address: str) -> None:
        """`certificate.pem` and `key.pem` for a server at this address."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        self._write("certificate.pem", subject, self._new_key("key.pem"), names)

    def client(self, file: str, subject: Mapping[x509.ObjectIdentifier, str]) -> tuple[str, str]:
        """A client's certificate and key: their paths."""
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject.items()])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        self._write(f"{file}.pem", name, self._new_key(f"{file}.key"), usage)
        return str(self.folder / f"{file}.pem"), str(self.folder / f"{file}.key")

    def _new_key(self, file: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / file).write_bytes(text)
        return key

    def _write(
        self, file: str, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> None:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        (self.folder / file).write_bytes(made.public_bytes(Encoding.PEM))


def certify(address: str, folder: Path) -> None:
    """Writes `authority.pem`, and `certificate.pem` with `key.pem` for a server at this address."""
    Authority(folder).server(address)
