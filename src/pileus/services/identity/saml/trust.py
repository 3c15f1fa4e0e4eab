"""Assertions of other clouds: whose they are, whether they are good, what they say."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import structlog

from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity import resolve
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.saml import encryption
from pileus.services.identity.saml.key_pair import KeyPair
from pileus.services.identity.saml.metadata import certificates
from pileus.services.identity.saml.model import used_assertions
from pileus.services.identity.saml.names import BEARER, NAMES, SUCCESS, etree, parsed, tag

log = structlog.get_logger("pileus.identity.saml")
COOKIE = "pileus-saml"
SESSION = timedelta(minutes=1)
_MARK = b"saml:"
_SKEW = timedelta(seconds=30)


CipherName = Literal["aes256-gcm", "aes192-gcm", "aes128-gcm", "aes256-cbc", "aes192-cbc", "aes128-cbc"]


class SamlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One identity provider that speaks SAML; `[identity.saml.NAME]`, where NAME is the identity provider's id."""

    metadata_file: str
    """Its metadata: what it is called, and the certificates that it signs with."""
    protocols: tuple[str, ...] = ("saml2",)
    """The ids of its protocols here that are SAML."""
    ciphers: tuple[CipherName, ...] = get_args(CipherName)
    """What its encrypted assertions may be encrypted with."""


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
    def _metadata(self) -> tuple[str, list[bytes]]:
        return certificates(Path(self.settings.metadata_file), "IDPSSODescriptor", "signing")

    @cached_property
    def ciphers(self) -> list[str]:
        """Their names in XML."""
        return [name for name in encryption.CIPHERS if name.partition("#")[2] in self.settings.ciphers]

    @property
    def entity_id(self) -> str:
        return self._metadata[0]

    def assertion(self, response: Any, pair: KeyPair) -> Any:
        """The assertion in a response, exactly as it was signed, and opened with our key where it is encrypted.
        Unauthorized where the signature is not this issuer's, or it can't be opened."""
        encrypted = response.find("saml:EncryptedAssertion", NAMES)
        if encrypted is None:
            return self._signed(response, "saml:Assertion")
        if response.find("ds:Signature", NAMES) is None:
            return self._signed(self._opened(encrypted, pair), "saml:Assertion")
        # The whole is signed, as it came: nothing is opened before that holds.
        return self._opened(self._signed(response, "saml:EncryptedAssertion"), pair)

    def _opened(self, encrypted: Any, pair: KeyPair) -> Any:
        try:
            return encryption.opened(encrypted, pair.key, self.ciphers)
        except encryption.Unopened as error:
            raise resolve.refuse(f"the assertion can't be opened: {error}") from error

    def _signed(self, document: Any, name: str) -> Any:
        """The element of that name in a document, as it was signed, by itself or in the response."""
        from signxml.exceptions import SignXMLException
        from signxml.verifier import SignatureConfiguration, XMLVerifier

        lxml, why = etree(), "no certificate"
        for pem in self._metadata[1]:
            try:
                result: Any = XMLVerifier().verify(
                    lxml.tostring(document),
                    x509_cert=pem.decode(),
                    expect_config=SignatureConfiguration(location=".//"),
                )
            except (SignXMLException, ValueError, lxml.LxmlError) as error:
                why = str(error)
                continue
            signed = result.signed_xml
            if signed.tag == tag("samlp:Response"):
                signed = signed.find(name, NAMES)
            if signed is not None and signed.tag == tag(name):
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
    """Whose the response says that it is. Encrypted assertions don't say it to everybody: their response does."""
    where = "saml:Issuer" if is_encrypted(response) else ".//saml:Assertion/saml:Issuer"
    return (response.findtext(where, "", NAMES) or "").strip()


def is_encrypted(response: Any) -> bool:
    return response.find("saml:EncryptedAssertion", NAMES) is not None


def said(
    issuer: Issuer, response: Any, pair: KeyPair, recipient: str, now: datetime
) -> tuple[str, dict[str, list[str]], datetime]:
    """The id, the attributes and the end of a response's assertion. Unauthorized where it is not good, now and for us."""
    code = response.find("samlp:Status/samlp:StatusCode", NAMES)
    if code is None or code.get("Value") != SUCCESS:
        raise resolve.refuse("the identity provider says that the login failed")
    assertion = issuer.assertion(response, pair)
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
