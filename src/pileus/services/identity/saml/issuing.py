"""Assertions about our own users for other clouds, in the words that Keystone has for them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pileus.kernel.clock import Clock
from pileus.kernel.errors import BadRequest
from pileus.services.identity.saml import encryption
from pileus.services.identity.saml.key_pair import KeyPair
from pileus.services.identity.saml.names import BEARER, ECP, NAMES, SAML, SAMLP, SOAP, SUCCESS, etree, tag

LIFE = datetime.timedelta(minutes=5)
_PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
_ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_NEXT_ACTOR = "http://schemas.xmlsoap.org/soap/actor/next"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an assertion is about. Groups are `JSON:{"name": …, "domain": {"name": …}}`."""

    user: str
    user_domain: str
    roles: Sequence[str]
    project: str
    project_domain: str
    groups: Sequence[str]

    def attributes(self) -> dict[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {
            "openstack_user": [self.user],
            "openstack_roles": self.roles,
            "openstack_project": [self.project],
            "openstack_project_domain": [self.project_domain],
            "openstack_user_domain": [self.user_domain],
        }
        return {**found, "openstack_groups": self.groups} if self.groups else found


class SamlSigner(KeyPair):
    """The key that assertions are signed with, and its certificate."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder / "saml-signing.pem", clock)

    def response(self, issuer: str, recipient: str, subject: Subject, readers: Sequence[bytes] = ()) -> Any:
        """A `samlp:Response` with a signed assertion for the service provider at `recipient`; encrypted for the first of
        these certificates, PEM, where there are any."""
        from signxml.algorithms import CanonicalizationMethod
        from signxml.signer import XMLSigner

        lxml, now = etree(), self._clock.now()
        try:
            assertion = _assertion(lxml, issuer, recipient, subject, now)
        except ValueError as error:  # characters that XML does not have
            raise BadRequest(
                f"The names of user, project or groups can't be written as XML: {error}."
            ) from error
        signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
        signed = signer.sign(
            assertion, key=self.pem, cert=self.certificate.decode(), reference_uri=assertion.get("ID")
        )
        root = lxml.Element(tag("samlp:Response"), nsmap={"samlp": SAMLP, "saml": SAML})
        for name, value in _stamp(now).items():
            root.set(name, value)
        root.set("Destination", recipient)
        _issuer(lxml, root, issuer)
        lxml.SubElement(lxml.SubElement(root, tag("samlp:Status")), tag("samlp:StatusCode"), Value=SUCCESS)
        root.append(encryption.sealed(signed, readers[0]) if readers else signed)
        return root


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp(now: datetime.datetime) -> dict[str, str]:
    return {"ID": f"_{uuid4().hex}", "IssueInstant": _time(now), "Version": "2.0"}


def _issuer(lxml: Any, parent: Any, issuer: str) -> None:
    lxml.SubElement(parent, tag("saml:Issuer"), Format=_ENTITY).text = issuer


def _assertion(lxml: Any, issuer: str, recipient: str, subject: Subject, now: datetime.datetime) -> Any:
    root = lxml.Element(tag("saml:Assertion"), nsmap={"saml": SAML}, **_stamp(now))
    _issuer(lxml, root, issuer)
    lxml.SubElement(root, tag("ds:Signature"), nsmap={"ds": NAMES["ds"]}, Id="placeholder")
    who = lxml.SubElement(root, tag("saml:Subject"))
    lxml.SubElement(who, tag("saml:NameID")).text = subject.user
    confirmation = lxml.SubElement(who, tag("saml:SubjectConfirmation"), Method=BEARER)
    until = _time(now + LIFE)
    lxml.SubElement(
        confirmation, tag("saml:SubjectConfirmationData"), NotOnOrAfter=until, Recipient=recipient
    )
    how = lxml.SubElement(
        root,
        tag("saml:AuthnStatement"),
        AuthnInstant=_time(now),
        SessionIndex=uuid4().hex,
        SessionNotOnOrAfter=until,
    )
    context = lxml.SubElement(how, tag("saml:AuthnContext"))
    lxml.SubElement(context, tag("saml:AuthnContextClassRef")).text = _PASSWORD
    lxml.SubElement(context, tag("saml:AuthenticatingAuthority")).text = issuer
    statement = lxml.SubElement(root, tag("saml:AttributeStatement"))
    for name, values in subject.attributes().items():
        attribute = lxml.SubElement(statement, tag("saml:Attribute"), Name=name)
        for value in values:
            lxml.SubElement(attribute, tag("saml:AttributeValue")).text = value
    return root


def enveloped(response: Any, relay_state: str) -> Any:
    """The response as a client carries it to a service provider (SAML's Enhanced Client or Proxy profile)."""
    lxml = etree()
    root = lxml.Element(tag("soap:Envelope"), nsmap={"soap": SOAP, "ecp": ECP})
    header = lxml.SubElement(lxml.SubElement(root, tag("soap:Header")), tag("ecp:RelayState"))
    header.set(tag("soap:actor"), _NEXT_ACTOR)
    header.set(tag("soap:mustUnderstand"), "1")
    header.text = relay_state
    lxml.SubElement(root, tag("soap:Body")).append(response)
    return root
