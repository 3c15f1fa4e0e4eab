"""Public keys: read, fingerprinted, and made."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass


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


def generate(comment: str) -> NewKey:
    """An RSA key of 2048 bits, upstream's default."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return NewKey(private.decode(), f"{public.decode()} {comment}")


def _pairs(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
