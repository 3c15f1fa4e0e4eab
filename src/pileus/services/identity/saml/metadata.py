"""What providers must know of each other: their names, where they are, the certificates of their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pileus.kernel.errors import BadRequest, Unavailable
from pileus.services.identity.saml.encryption import CIPHERS, OAEP
from pileus.services.identity.saml.names import NAMES, POST, SAMLP, etree, parsed, tag

Role = Literal["IDPSSODescriptor", "SPSSODescriptor"]
Use = Literal["signing", "encryption"]


def certificates(path: Path, role: Role, use: Use) -> tuple[str, list[bytes]]:
    """The entity's name and its certificates for a use, PEM. Unavailable where the file has none."""
    try:
        root = parsed(path.read_bytes())
    except (OSError, BadRequest) as error:
        raise Unavailable(f"The metadata in {path} can't be read: {error}.") from error
    descriptor = root if root.tag == tag("md:EntityDescriptor") else root.find("md:EntityDescriptor", NAMES)
    found = [] if descriptor is None else descriptor.findall(f".//md:{role}/md:KeyDescriptor", NAMES)
    texts = [
        (each.findtext(".//ds:X509Certificate", "", NAMES) or "").split()
        for each in found
        if each.get("use", use) == use
    ]
    if descriptor is None or not texts:
        raise Unavailable(f"The metadata in {path} has no certificate for {use} by its {role}.")
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    return descriptor.get("entityID", ""), [pem.format("".join(each)).encode() for each in texts]


def metadata(entity_id: str, location: str, signing: bytes, consumer: str, encryption: bytes) -> Any:
    """Of this cloud: as who gives its word, from `location`, and as who takes others' at `consumer`."""
    lxml = etree()
    root = lxml.Element(
        tag("md:EntityDescriptor"), nsmap={"md": NAMES["md"], "ds": NAMES["ds"]}, entityID=entity_id
    )
    giver = lxml.SubElement(root, tag("md:IDPSSODescriptor"), protocolSupportEnumeration=SAMLP)
    _key(lxml, giver, "signing", signing)
    transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    lxml.SubElement(giver, tag("md:NameIDFormat")).text = transient
    binding = "urn:oasis:names:tc:SAML:2.0:bindings:URI"
    lxml.SubElement(giver, tag("md:SingleSignOnService"), Binding=binding, Location=location)
    taker = lxml.SubElement(root, tag("md:SPSSODescriptor"), protocolSupportEnumeration=SAMLP)
    key = _key(lxml, taker, "encryption", encryption)
    for algorithm in (*CIPHERS, *OAEP):
        lxml.SubElement(key, tag("md:EncryptionMethod"), Algorithm=algorithm)
    where = {"Binding": POST, "Location": consumer, "index": "0", "isDefault": "true"}
    lxml.SubElement(taker, tag("md:AssertionConsumerService"), **where)
    return root


def _key(lxml: Any, role: Any, use: Use, certificate: bytes) -> Any:
    key = lxml.SubElement(role, tag("md:KeyDescriptor"), use=use)
    data = lxml.SubElement(lxml.SubElement(key, tag("ds:KeyInfo")), tag("ds:X509Data"))
    text = "".join(line for line in certificate.decode().splitlines() if not line.startswith("-----"))
    lxml.SubElement(data, tag("ds:X509Certificate")).text = text
    return key
