"""Encrypted assertions: those that others make for us, all that can be wrong with them, and ours for others."""

from __future__ import annotations

import os
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from pileus.services.identity.api.federation.saml import FAILURE_SECONDS
from pileus.services.identity.saml.encryption import CIPHERS, opened, sealed
from pileus.services.identity.saml.issuing import SamlSigner
from pileus.services.identity.saml.key_pair import KeyPair
from pileus.services.identity.saml.metadata import certificates
from pileus.services.identity.saml.names import NAMES
from pileus.services.identity.settings import Settings
from pileus.testing.identity import ADMIN_PROJECT, V3, serving_identity, token_for
from pileus.testing.service import ADMIN, ServiceUnderTest
from tests.api.test_identity_saml import ACS, OS, bring, come, garbled, signed, trusting

pytestmark = pytest.mark.slow  # keys are made
XENC, XENC11 = NAMES["xenc"], NAMES["xenc11"]
SHA256 = f"{XENC}sha256"
GCM, CBC = f"{XENC11}aes256-gcm", f"{XENC}aes256-cbc"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with trusting(tmp_path) as running:
        yield running


def encrypted(
    cloud: ServiceUnderTest, plain: bytes, cipher: str = GCM, hidden: str = f"{XENC}rsa-oaep-mgf1p"
) -> Any:
    """An `EncryptedAssertion` for the cloud, made by the letter of XML Encryption 1.1."""
    public: Any = load_pem_x509_certificate(cloud.runtime.state.saml_pair.certificate).public_key()
    secret, more = os.urandom(CIPHERS.get(cipher, 24)), ""
    sha1, sha256 = hashes.SHA1(), hashes.SHA256()
    if hidden.endswith("rsa-1_5"):
        key = public.encrypt(secret, rsa_padding.PKCS1v15())
    elif hidden.endswith("rsa-oaep"):
        more = f'<ds:DigestMethod Algorithm="{SHA256}"/><y:MGF xmlns:y="{XENC11}" Algorithm="{XENC11}mgf1sha256"/>'
        key = public.encrypt(secret, rsa_padding.OAEP(rsa_padding.MGF1(sha256), sha256, None))
    else:
        key = public.encrypt(secret, rsa_padding.OAEP(rsa_padding.MGF1(sha1), sha1, None))
    if cipher.endswith("gcm"):
        nonce = os.urandom(12)
        message = nonce + AESGCM(secret).encrypt(nonce, plain, None)
    else:
        padder = padding.PKCS7(128).padder()
        start = os.urandom(16)
        encryptor = Cipher(algorithms.AES(secret), modes.CBC(start)).encryptor()
        message = start + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return etree.fromstring(
        f'<saml:EncryptedAssertion xmlns:saml="{NAMES["saml"]}" xmlns:x="{XENC}" xmlns:ds="{NAMES["ds"]}">'
        f'<x:EncryptedData Type="{XENC}Element"><x:EncryptionMethod Algorithm="{cipher}"/><ds:KeyInfo>'
        f'<ds:RetrievalMethod Type="{XENC}EncryptedKey" URI="#k"/></ds:KeyInfo>'
        f"<x:CipherData><x:CipherValue>{b64encode(message).decode()}</x:CipherValue></x:CipherData></x:EncryptedData>"
        f'<x:EncryptedKey Id="k"><x:EncryptionMethod Algorithm="{hidden}">{more}</x:EncryptionMethod>'
        f"<x:CipherData><x:CipherValue>{b64encode(key).decode()}</x:CipherValue></x:CipherData></x:EncryptedKey>"
        "</saml:EncryptedAssertion>"
    )


def hide(response: Any, make: Callable[[bytes], Any]) -> Any:
    """The response with its assertion encrypted."""
    plain = response.find("saml:Assertion", NAMES)
    response.replace(plain, make(etree.tostring(plain, with_tail=False)))
    return response


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("hidden", [f"{XENC}rsa-oaep-mgf1p", f"{XENC11}rsa-oaep"])
async def test_the_bearer_is_let_in_once(cloud: ServiceUnderTest, cipher: str, hidden: str) -> None:
    response = hide(signed(cloud), lambda plain: encrypted(cloud, plain, cipher, hidden))
    brought = await bring(cloud, response)
    assert brought.status == 303, brought.body
    assert (await come(cloud, brought)).json()["token"]["user"]["name"] == "alice"
    assert (await bring(cloud, response)).status == 401


def resigned(cloud: ServiceUnderTest, response: Any) -> Any:
    """The response signed as a whole."""
    signer: SamlSigner = cloud.runtime.state.saml_signer
    issuer = response.find("saml:Issuer", NAMES)
    issuer.addnext(etree.Element(f"{{{NAMES['ds']}}}Signature", Id="placeholder"))
    maker = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    return maker.sign(
        response, key=signer.pem, cert=signer.certificate.decode(), reference_uri=response.get("ID")
    )


async def test_a_signature_over_the_whole_covers_what_is_encrypted(cloud: ServiceUnderTest) -> None:
    def unsigned(plain: bytes) -> Any:
        assertion = etree.fromstring(plain)
        assertion.remove(assertion.find("ds:Signature", NAMES))
        return encrypted(cloud, etree.tostring(assertion))

    whole = resigned(cloud, hide(signed(cloud), unsigned))
    assert (await bring(cloud, whole)).status == 303
    other = resigned(cloud, hide(signed(cloud), unsigned))
    other.replace(other.find("saml:EncryptedAssertion", NAMES), encrypted(cloud, b"<a/>"))
    assert (await bring(cloud, other)).status == 401


def flipped(element: Any, position: int) -> Any:
    value = element.find(".//x:EncryptedData/x:CipherData/x:CipherValue", {"x": XENC})
    message = bytearray(b64decode(value.text))
    message[position] ^= 1
    value.text = b64encode(message).decode()
    return element


def cut(element: Any, length: int) -> Any:
    value = element.find(".//x:EncryptedData/x:CipherData/x:CipherValue", {"x": XENC})
    value.text = b64encode(b64decode(value.text)[:length]).decode()
    return element


def forged(plain: bytes) -> bytes:
    return plain.replace(b"alice", b"admin")


def for_another(cloud: ServiceUnderTest, plain: bytes) -> Any:
    other = KeyPair(cloud.runtime.state.keys.folder / "other.pem", cloud.runtime.clock)
    return sealed(etree.fromstring(plain), other.certificate)


def without_key(element: Any) -> Any:
    element.remove(element.find("x:EncryptedKey", {"x": XENC}))
    return element


WRONG: dict[str, Callable[[ServiceUnderTest, bytes], Any]] = {
    "the tag": lambda cloud, plain: flipped(encrypted(cloud, plain), -1),
    "the padding": lambda cloud, plain: flipped(encrypted(cloud, plain, CBC), -17),
    "a block in the middle": lambda cloud, plain: flipped(encrypted(cloud, plain, CBC), 400),
    "the first letter": lambda cloud, plain: flipped(encrypted(cloud, plain, CBC), 0),
    "no whole block": lambda cloud, plain: cut(encrypted(cloud, plain, CBC), 321),
    "too short": lambda cloud, plain: cut(encrypted(cloud, plain), 20),
    "nothing": lambda cloud, plain: cut(encrypted(cloud, plain), 0),
    "the key of another": for_another,
    "no key": lambda cloud, plain: without_key(encrypted(cloud, plain)),
    "RSA 1.5": lambda cloud, plain: encrypted(cloud, plain, hidden=f"{XENC}rsa-1_5"),
    "Triple DES": lambda cloud, plain: encrypted(cloud, plain, f"{XENC}tripledes-cbc"),
    "an unknown cipher": lambda cloud, plain: encrypted(cloud, plain, "urn:x"),
    "no XML": lambda cloud, plain: encrypted(cloud, b"\xff<"),
    "two of them": lambda cloud, plain: encrypted(cloud, plain + plain),
    "an entity": lambda cloud, plain: encrypted(cloud, b"<!DOCTYPE a><a/>"),
    "another document": lambda cloud, plain: encrypted(cloud, b"<a/>"),
    "a way out of its place": lambda cloud, plain: encrypted(
        cloud, b"</saml:EncryptedAssertion><saml:EncryptedAssertion>"
    ),
    "no signature": lambda cloud, plain: encrypted(cloud, b'<saml:Assertion ID="a"/>'),
    "what it says": lambda cloud, plain: encrypted(cloud, forged(plain)),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_all_that_is_wrong_is_told_alike(cloud: ServiceUnderTest, wrong: str) -> None:
    response = hide(signed(cloud), lambda plain: WRONG[wrong](cloud, plain))
    began = time.monotonic()
    reply = await bring(cloud, response)
    assert time.monotonic() - began >= FAILURE_SECONDS
    assert reply.status == 401, reply.body
    assert reply.json()["error"]["message"] == "The request you have made requires authentication."
    assert set(reply.headers) == {
        "content-length",
        "content-type",
        "www-authenticate",
        "x-openstack-request-id",
    }


@pytest.mark.parametrize("cipher", [GCM, CBC])
async def test_whatever_is_missing_or_garbled_is_refused_at_most(
    cloud: ServiceUnderTest, cipher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pileus.services.identity.api.federation.saml.FAILURE_SECONDS", 0)
    hidden = f"{XENC11}rsa-oaep"
    await garbled(cloud, hide(signed(cloud), lambda plain: encrypted(cloud, plain, cipher, hidden)))


async def test_one_that_has_expired_is_told_alike(cloud: ServiceUnderTest) -> None:
    response = hide(signed(cloud), lambda plain: encrypted(cloud, plain))
    cloud.runtime.clock.by += timedelta(minutes=10)  # type: ignore[attr-defined] - the tests' clock
    began = time.monotonic()
    assert (await bring(cloud, response)).status == 401
    assert time.monotonic() - began >= FAILURE_SECONDS


async def test_ciphers_are_chosen_by_provider(tmp_path: Path) -> None:
    async with trusting(tmp_path, ciphers=("aes256-gcm",)) as running:
        for cipher, status in ((CBC, 401), (GCM, 303)):
            response = hide(signed(running), lambda plain, cipher=cipher: encrypted(running, plain, cipher))
            assert (await bring(running, response)).status == status


async def test_metadata_has_the_key_and_the_address(cloud: ServiceUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "own.xml"
    file.write_bytes((await cloud.get(f"{OS}/saml2/metadata")).body)
    assert (
        certificates(file, "SPSSODescriptor", "encryption")[1]
        != certificates(file, "IDPSSODescriptor", "signing")[1]
    )
    consumer = etree.parse(file).find(".//{*}SPSSODescriptor/{*}AssertionConsumerService")
    assert consumer is not None
    assert consumer.get("Location") == f"http://localhost{ACS}"


async def test_ours_are_encrypted_for_whom_the_operator_says(tmp_path: Path) -> None:
    near, file = tmp_path / "near", tmp_path / "near.xml"
    near.mkdir()
    async with serving_identity(near) as reader:
        file.write_bytes((await reader.get(f"{OS}/saml2/metadata")).body)
        async with serving_identity(tmp_path, Settings(saml_readers={"near": str(file)})) as cloud:
            body = {"auth_url": "https://near/auth", "sp_url": "https://near/acs", "enabled": True}
            await cloud.put(f"{OS}/service_providers/near", {"service_provider": body}, as_=ADMIN)
            token = (await token_for(cloud, **ADMIN_PROJECT)).headers["x-subject-token"]
            identity = {"methods": ["token"], "token": {"id": token}}
            auth = {"identity": identity, "scope": {"service_provider": {"id": "near"}}}
            reply = await cloud.post(f"{V3}/auth/OS-FEDERATION/saml2", {"auth": auth})
            assert reply.status == 200
            assert b"admin" not in reply.body
            shown = etree.fromstring(reply.body)
            assert shown.find("saml:Assertion", NAMES) is None
            found = opened(
                shown.find("saml:EncryptedAssertion", NAMES), reader.runtime.state.saml_pair.key, [GCM]
            )
            assert found.findtext("saml:Subject/saml:NameID", "", NAMES) == "admin"
            file.write_text("<a/>")
            assert (await cloud.post(f"{V3}/auth/OS-FEDERATION/saml2", {"auth": auth})).status == 503
