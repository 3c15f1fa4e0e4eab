"""Assertions that only their recipient can read (XML Encryption 1.1): AES under a key that RSA-OAEP hides.

What can't be opened fails in one way, whatever is wrong with it: a key that does not come out is replaced by a random
one, and what becomes of that is as little of a message as any other rubbish (RFC 3218 has the idea). With AES in CBC
mode, which nothing authenticates, whoever could tell one failure from another could read the message. RSA 1.5 and
Triple DES are not spoken at all.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pileus.kernel.errors import Unavailable
from pileus.services.identity.saml.names import NAMES, etree, parsed, tag

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP as Padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_XENC, _XENC11 = NAMES["xenc"], NAMES["xenc11"]
CIPHERS = {
    **{f"{_XENC11}aes{bits}-gcm": bits // 8 for bits in (256, 192, 128)},
    **{f"{_XENC}aes{bits}-cbc": bits // 8 for bits in (256, 192, 128)},
}
"""The length of the key in bytes, by algorithm, the best first."""
_MGF1_SHA1, _OAEP = f"{_XENC}rsa-oaep-mgf1p", f"{_XENC11}rsa-oaep"
OAEP = (_OAEP, _MGF1_SHA1)
_HASHES = {
    f"{NAMES['ds']}sha1": "SHA1",
    f"{_XENC}sha256": "SHA256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "SHA384",
    f"{_XENC}sha512": "SHA512",
}
_MASKS = {f"{_XENC11}mgf1{name.lower()}": name for name in ("SHA1", "SHA256", "SHA384", "SHA512")}
_MOST_KEYS = 4
_BLOCK = _NONCE_CBC = _TAG = 16
_NONCE_GCM = 12
_GCM = f"{_XENC11}aes256-gcm"


class Unopened(Exception):
    """An encrypted assertion that is not good for us; its words are for the log alone."""


def opened(encrypted: Any, key: RSAPrivateKey, allowed: Sequence[str]) -> Any:
    """The assertion in an `EncryptedAssertion`, as a document of its own. Unopened where there is none.

    `allowed` has the algorithms that are taken, of `CIPHERS`.
    """
    data = encrypted.find("xenc:EncryptedData", NAMES)
    cipher = None if data is None else _algorithm(data)
    if data is None or cipher not in allowed or cipher not in CIPHERS:
        raise Unopened(f"the cipher is {cipher}, not one of {', '.join(allowed)}")
    secret = _secret(encrypted, key, CIPHERS[cipher])
    plain = _deciphered(cipher, secret, _value(data))
    # As a part of the document that it was taken out of: that has the names of its namespaces.
    around = etree().Element(encrypted.tag, nsmap=encrypted.nsmap)
    start = etree().tostring(around).removesuffix(b"/>")
    try:
        root = parsed(start + b">" + plain + b"</" + _written(encrypted) + b">")
    except Exception as error:
        raise Unopened(f"what it holds is no XML: {error}") from error
    if len(root) != 1 or root[0].tag != tag("saml:Assertion"):
        raise Unopened("it holds no assertion")
    return etree().fromstring(etree().tostring(root[0], with_tail=False))


def _written(element: Any) -> bytes:
    """An element's name as it stands in the document."""
    local = etree().QName(element).localname
    return (f"{element.prefix}:{local}" if element.prefix else local).encode()


def _algorithm(element: Any) -> str | None:
    method = element.find("xenc:EncryptionMethod", NAMES)
    return None if method is None else method.get("Algorithm")


def _value(element: Any) -> bytes:
    try:
        return b64decode(element.findtext("xenc:CipherData/xenc:CipherValue", "", NAMES))
    except ValueError as error:
        raise Unopened("a CipherValue is no base64") from error


def _secret(encrypted: Any, key: RSAPrivateKey, length: int) -> bytes:
    """The key of the message; a random one where none comes out."""
    found = encrypted.findall(".//xenc:EncryptedKey", NAMES)
    for each in found[:_MOST_KEYS]:
        padding = _padding(each)
        try:
            secret = key.decrypt(_value(each), padding)
        except ValueError:
            continue
        if len(secret) == length:
            return secret
    return os.urandom(length)


def _padding(wrapped: Any) -> Padding:
    """As the `EncryptionMethod` of an `EncryptedKey` has it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP as Padding

    algorithm, method = _algorithm(wrapped), wrapped.find("xenc:EncryptionMethod", NAMES)
    if algorithm not in OAEP:
        raise Unopened(f"the key is hidden with {algorithm}, not one of {', '.join(OAEP)}")
    digest = method.find("ds:DigestMethod", NAMES)
    mask = method.find("xenc11:MGF", NAMES) if algorithm == _OAEP else None
    name = _HASHES.get(
        "" if digest is None else digest.get("Algorithm", ""), None if digest is not None else "SHA1"
    )
    mask_name = "SHA1" if mask is None else _MASKS.get(mask.get("Algorithm", ""))
    if name is None or mask_name is None:
        raise Unopened("the key is hidden with an OAEP of unknown hashes")
    try:
        label = b64decode(method.findtext("xenc:OAEPparams", "", NAMES)) or None
    except ValueError as error:
        raise Unopened("OAEPparams is no base64") from error
    return Padding(MGF1(getattr(hashes, mask_name)()), getattr(hashes, name)(), label)


def _deciphered(algorithm: str, secret: bytes, message: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if algorithm.endswith("-gcm"):
        if len(message) < _NONCE_GCM + _TAG:
            raise Unopened("the message is too short")
        try:
            return AESGCM(secret).decrypt(message[:_NONCE_GCM], message[_NONCE_GCM:], None)
        except InvalidTag as error:
            raise Unopened("the message was changed, or is for another key") from error
    if len(message) < _NONCE_CBC + _BLOCK or len(message) % _BLOCK:
        raise Unopened("the message is no whole number of blocks")
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(message[:_NONCE_CBC])).decryptor()
    padded = decryptor.update(message[_NONCE_CBC:]) + decryptor.finalize()
    if not 1 <= padded[-1] <= _BLOCK:  # XML Encryption 5.2: the last byte counts, the others may be anything
        raise Unopened("the padding is wrong")
    return padded[: -padded[-1]]


def sealed(assertion: Any, certificate: bytes) -> Any:
    """An `EncryptedAssertion` that the holder of the certificate's key can open. Unavailable where that is no RSA key."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP as Padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.x509 import load_pem_x509_certificate

    try:
        public = load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise Unavailable(f"A service provider's certificate can't be read: {error}.") from error
    if not isinstance(public, RSAPublicKey):
        raise Unavailable("A service provider's certificate has no RSA key to encrypt assertions for.")
    lxml, secret, nonce = etree(), os.urandom(CIPHERS[_GCM]), os.urandom(_NONCE_GCM)
    message = nonce + AESGCM(secret).encrypt(nonce, lxml.tostring(assertion, with_tail=False), None)
    # SHA-1 as OAEP's hash is sound, and the one choice that all recipients know.
    hidden = public.encrypt(secret, Padding(MGF1(hashes.SHA1()), hashes.SHA1(), None))
    root = lxml.Element(tag("saml:EncryptedAssertion"), nsmap={"saml": NAMES["saml"], "xenc": _XENC})
    data = lxml.SubElement(root, tag("xenc:EncryptedData"), Type=f"{_XENC}Element")
    lxml.SubElement(data, tag("xenc:EncryptionMethod"), Algorithm=_GCM)
    info = lxml.SubElement(data, tag("ds:KeyInfo"), nsmap={"ds": NAMES["ds"]})
    wrapped = lxml.SubElement(info, tag("xenc:EncryptedKey"))
    method = lxml.SubElement(wrapped, tag("xenc:EncryptionMethod"), Algorithm=_MGF1_SHA1)
    lxml.SubElement(method, tag("ds:DigestMethod"), Algorithm=f"{NAMES['ds']}sha1")
    for element, value in ((wrapped, hidden), (data, message)):
        holder = lxml.SubElement(element, tag("xenc:CipherData"))
        lxml.SubElement(holder, tag("xenc:CipherValue")).text = b64encode(value).decode()
    return root
