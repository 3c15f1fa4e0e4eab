"""A private key with its certificate, in one file that processes of a node share; made when first needed."""

from __future__ import annotations

import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.kernel.clock import Clock
from pileus.kernel.errors import Unavailable
from pileus.kernel.files import write_once

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class KeyPair:
    """RSA. The file holds the key, then the certificate, both PEM."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    @cached_property
    def _pair(self) -> tuple[bytes, bytes]:
        if not self._path.exists():
            self._make()
        key, _, certificate = self._path.read_bytes().partition(_BEGIN)
        return key, _BEGIN + certificate

    @property
    def pem(self) -> bytes:
        """The key's."""
        return self._pair[0]

    @property
    def certificate(self) -> bytes:
        """PEM."""
        return self._pair[1]

    @cached_property
    def key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            found = load_pem_private_key(self.pem, None)
        except (ValueError, TypeError) as error:
            raise Unavailable(f"The key in {self._path} can't be read: {error}.") from error
        if not isinstance(found, RSAPrivateKey):
            raise Unavailable(f"The key in {self._path} is no RSA key.")
        return found

    def _make(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pileus SAML")])
        now = self._clock.now()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + certificate.public_bytes(serialization.Encoding.PEM)
        write_once(self._path, pem)
