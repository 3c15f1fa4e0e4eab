"""Assertions of other clouds: whose they are, whether they are good, what they say."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import structlog

from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Unavailable
from pileus.services.identity import resolve
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.saml.model import used_assertions
from pileus.services.identity.saml.names import BEARER, NAMES, SUCCESS, etree, parsed, tag

log = structlog.get_logger("pileus.identity.saml")
COOKIE = "pileus-saml"
SESSION = timedelta(minutes=1)
_MARK = b"saml:"
_SKEW = timedelta(seconds=30)


class SamlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One identity provider that speaks SAML; `[identity.saml.NAME]`, where NAME is the identity provider's id."""

    metadata_file: str
    """Its metadata: what it is called, and the certificates that it signs with."""
    protocols: tuple[str, ...] = ("saml2",)
    """The ids of its protocols here that are SAML."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """An assertion that was good, until its bearer comes for a token."""

    idp_id: str
    attributes: dict[str, list[str]]
    until: datetime


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


class Issuer:
    """An identity provider, as its metadata has it."""

    def __init__(self, settings: SamlSettings) -> None:
        self.settings = settings

    @cached_property
    def _metadata(self) -> tuple[str, list[str]]:
        path = Path(self.settings.metadata_file)
        try:
            root = parsed(path.read_bytes())
        except (OSError, BadRequest) as error:
            raise Unavailable(
                f"The metadata of an identity provider, {path}, can't be read: {error}."
            ) from error
        descriptor = (
            root if root.tag == tag("md:EntityDescriptor") else root.find("md:EntityDescriptor", NAMES)
        )
        found = (
            [] if descriptor is None else descriptor.findall(".//md:IDPSSODescriptor/md:KeyDescriptor", NAMES)
        )
        texts = [
            (each.findtext(".//ds:X509Certificate", "", NAMES) or "").split()
            for each in found
            if each.get("use", "signing") == "signing"
        ]
        if descriptor is None or not texts:
            raise Unavailable(
                f"The metadata of an identity provider, {path}, has no certificate to sign with."
            )
        return descriptor.get("entityID", ""), ["".join(each) for each in texts]

    @property
    def entity_id(self) -> str:
        return self._metadata[0]

    def verified(self, response: Any) -> Any:
        """The assertion in a response, exactly as it was signed. Unauthorized where the signature is not this issuer's."""
        from signxml.exceptions import SignXMLException
        from signxml.verifier import SignatureConfiguration, XMLVerifier

        lxml, why = etree(), "no certificate"
        for text in self._metadata[1]:
            pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
            try:
                result: Any = XMLVerifier().verify(
                    lxml.tostring(response),
                    x509_cert=pem,
                    expect_config=SignatureConfiguration(location=".//"),
                )
            except (SignXMLException, ValueError, lxml.LxmlError) as error:
                why = str(error)
                continue
            signed = result.signed_xml
            if signed.tag == tag("samlp:Response"):
                signed = signed.find("saml:Assertion", NAMES)
            if signed is not None and signed.tag == tag("saml:Assertion"):
                return signed
            why = "the signature is not on the assertion"
        raise resolve.refuse(f"the signature is not {self.entity_id}'s: {why}")


def response_in(document: bytes) -> Any:
    """The `samlp:Response`, bare or in a SOAP envelope."""
    root = parsed(document)
    found = root if root.tag == tag("samlp:Response") else root.find("soap:Body/samlp:Response", NAMES)
    if found is None:
        raise BadRequest("The body holds no SAML response.")
    return found


def issuer_of(response: Any) -> str:
    """Whose the response says that it is."""
    return (response.findtext(".//saml:Assertion/saml:Issuer", "", NAMES) or "").strip()


def said(
    issuer: Issuer, response: Any, recipient: str, now: datetime
) -> tuple[str, dict[str, list[str]], datetime]:
    """The id, the attributes and the end of a response's assertion. Unauthorized where it is not good, now and for us."""
    code = response.find("samlp:Status/samlp:StatusCode", NAMES)
    if code is None or code.get("Value") != SUCCESS:
        raise resolve.refuse("the identity provider says that the login failed")
    assertion = issuer.verified(response)
    if (assertion.findtext("saml:Issuer", "", NAMES) or "").strip() != issuer.entity_id:
        raise resolve.refuse("the assertion is another issuer's")
    until = _confirmed(assertion, recipient, now)
    for conditions in assertion.findall("saml:Conditions", NAMES):
        if _moment(conditions.get("NotBefore"), now) - _SKEW > now:
            raise resolve.refuse("the assertion is not good yet")
        until = min(until, _moment(conditions.get("NotOnOrAfter"), until))
    if until + _SKEW <= now:
        raise resolve.refuse("the assertion has expired")
    attributes: dict[str, list[str]] = {}
    for each in assertion.findall("saml:AttributeStatement/saml:Attribute", NAMES):
        values = [value.text or "" for value in each.findall("saml:AttributeValue", NAMES)]
        attributes.setdefault(each.get("Name", ""), []).extend(values)
    who = (assertion.findtext("saml:Subject/saml:NameID", "", NAMES) or "").strip()
    named = {f"MELLON_{name}": values for name, values in attributes.items()}
    issued = [issuer.entity_id]
    return (
        assertion.get("ID", ""),
        {**named, **attributes, "NameID": [who], "Shib-Identity-Provider": issued, "MELLON_IDP": issued},
        until,
    )


def _confirmed(assertion: Any, recipient: str, now: datetime) -> datetime:
    """Until when its bearer may use it here."""
    for each in assertion.findall("saml:Subject/saml:SubjectConfirmation", NAMES):
        data = each.find("saml:SubjectConfirmationData", NAMES)
        if each.get("Method") == BEARER and data is not None and data.get("Recipient") == recipient:
            until = _moment(data.get("NotOnOrAfter"), now - _SKEW)
            if until + _SKEW > now:
                return until
    raise resolve.refuse(f"the assertion is not for {recipient}, or has expired")


def _moment(text: str | None, otherwise: datetime) -> datetime:
    if text is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise resolve.refuse(f"{text!r} is no time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def use(tx: Tx, entity_id: str, assertion_id: str, until: datetime) -> None:
    """Unauthorized where the assertion was used before."""
    tx.execute(used_assertions.delete().where(used_assertions.c.expires_at < tx.now - 2 * _SKEW))
    digest = hashlib.sha256(f"{entity_id} {assertion_id}".encode()).hexdigest()
    try:
        tx.execute(used_assertions.insert(), {"id": digest, "expires_at": until})
    except Duplicate as error:
        raise resolve.refuse("the assertion was used before") from error


def sealed(keys: KeyFolder, session: Session) -> str:
    """For the cookie of who brought the assertion."""
    return keys.encrypt(_MARK + _encode(session)).rstrip(b"=").decode()


def opened(keys: KeyFolder, cookie: str, idp_id: str, now: datetime) -> Session:
    """The session that a cookie holds; Unauthorized where it is none, of another provider, or over."""
    raw = cookie.encode("ascii", "replace")
    payload = keys.decrypt(raw + b"=" * (-len(raw) % 4))
    if payload is None or not payload.startswith(_MARK):
        raise resolve.refuse("the request brings no assertion")
    session = _decode(payload.removeprefix(_MARK))
    if session.idp_id != idp_id or session.until <= now:
        raise resolve.refuse("the session is another provider's, or over")
    return session
