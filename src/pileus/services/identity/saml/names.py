"""XML's names in SAML, and how documents of strangers are read."""

from __future__ import annotations

from typing import Any

from pileus.kernel.errors import BadRequest, NotImplementedHere

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
ECP = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
NAMES = {
    "xenc": XENC,
    "xenc11": XENC11,
    "saml": SAML,
    "samlp": SAMLP,
    "md": METADATA,
    "ecp": ECP,
    "soap": SOAP,
    "ds": DSIG,
}


def etree() -> Any:
    """lxml, where it is installed; 501 otherwise."""
    try:
        from lxml import etree as found
    except ImportError as error:
        raise NotImplementedHere(
            "This cloud can't speak SAML: install it with `pip install pileus[saml]`."
        ) from error
    return found


def tag(prefixed: str) -> str:
    """`saml:Assertion` as lxml writes it."""
    prefix, _, name = prefixed.partition(":")
    return f"{{{NAMES[prefix]}}}{name}"


def parsed(document: bytes) -> Any:
    """The root of a stranger's document: no entities, no DTD, nothing fetched. BadRequest where it is no XML."""
    lxml = etree()
    parser = lxml.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = lxml.fromstring(document, parser)
    except (lxml.XMLSyntaxError, ValueError) as error:
        raise BadRequest(f"The body is no XML: {error}.") from error
    if root.getroottree().docinfo.doctype:
        raise BadRequest("The body has a document type, which SAML has no use for.")
    return root
