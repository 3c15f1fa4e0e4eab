"""Public keys: read, fingerprinted, and made."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


class BadKey(ValueError):
    """A text that is no public key; says why."""


@dataclass(frozen=True, slots=True)
class NewKey:
    private: str
    """In PEM; shown to its owner once and kept nowhere."""
    public: str


def ssh_fingerprint(public_key: str) -> str:
    """The MD5 fingerprint in pairs of digits, as upstream shows it. Raises BadKey."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    words = public_key.split()
    if len(words) < 2:
        raise BadKey("it must be a type and a key in Base64, as in ~/.ssh/id_ed25519.pub")
    try:
        blob = base64.b64decode(words[1], validate=True)
        load_ssh_public_key(" ".join(words[:2]).encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"it is no key that OpenSSH would take: {error}") from error
    return _pairs(hashlib.md5(blob, usedforsecurity=False).hexdigest())


def x509_fingerprint(certificate: str) -> str:
    """The SHA-1 fingerprint of a certificate in PEM. Raises BadKey."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA1

    try:
        loaded = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise BadKey(f"it is no certificate in PEM: {error}") from error
    return _pairs(loaded.fingerprint(SHA1()).hex())  # upstream's choice; it names, it does not protect


def generate_ssh(comment: str) -> NewKey:
    """An RSA key of 2048 bits, upstream's default."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _rsa_key()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return NewKey(_private_pem(key), f"{public.decode()} {comment}")


def generate_x509(user_id: str) -> NewKey:
    """An RSA key with a certificate of its own making that names the user; for WinRM, good for ten years."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = _rsa_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:64] or "user")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    return NewKey(_private_pem(key), certificate.public_bytes(Encoding.PEM).decode())


def _rsa_key() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_pem(key: RSAPrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _pairs(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
