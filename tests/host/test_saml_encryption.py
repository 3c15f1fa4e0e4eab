"""Encrypted assertions against another implementation: Debian's xmlsec1, which most of SAML's software stands on."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from pileus.services.identity.saml.encryption import sealed
from pileus.services.identity.saml.names import NAMES
from pileus.testing.service import ServiceUnderTest
from tests.api.test_identity_saml import bring, come, signed, trusting

pytestmark = pytest.mark.host
TEMPLATE = """
<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element">
  <EncryptionMethod Algorithm="{cipher}"/>
  <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
    <EncryptedKey xmlns="http://www.w3.org/2001/04/xmlenc#">
      <EncryptionMethod Algorithm="{hidden}"/>
      <CipherData><CipherValue/></CipherData>
    </EncryptedKey>
  </KeyInfo>
  <CipherData><CipherValue/></CipherData>
</EncryptedData>
"""
XENC, XENC11 = NAMES["xenc"], NAMES["xenc11"]
OAEP, RSA_1_5 = f"{XENC}rsa-oaep-mgf1p", f"{XENC}rsa-1_5"


def xmlsec1(*arguments: str | Path) -> None:
    done = subprocess.run(["xmlsec1", *map(str, arguments)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with trusting(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("cipher", "session", "hidden", "status"),
    [
        *((f"{XENC11}aes{bits}-gcm", f"aes-{bits}", OAEP, 303) for bits in (128, 192, 256)),
        *((f"{XENC}aes{bits}-cbc", f"aes-{bits}", OAEP, 303) for bits in (128, 192, 256)),
        (f"{XENC11}aes256-gcm", "aes-256", RSA_1_5, 401),
        (f"{XENC}tripledes-cbc", "des-192", OAEP, 401),
    ],
)
async def test_assertions_that_xmlsec1_encrypts(
    cloud: ServiceUnderTest, tmp_path: Path, cipher: str, session: str, hidden: str, status: int
) -> None:
    response = signed(cloud)
    plain = response.find("saml:Assertion", NAMES)
    data, template, certificate, made = (
        tmp_path / name for name in ("assertion.xml", "template.xml", "reader.pem", "encrypted.xml")
    )
    etree.ElementTree(plain).write(data)
    etree.ElementTree(etree.fromstring(TEMPLATE.format(cipher=cipher, hidden=hidden))).write(template)
    with certificate.open("wb") as file:
        file.write(cloud.runtime.state.saml_pair.certificate)
    xmlsec1(
        "--encrypt", "--pubkey-cert-pem", certificate, "--session-key", session,
        "--xml-data", data, "--output", made, template,
    )  # fmt: skip
    around = etree.Element(f"{{{NAMES['saml']}}}EncryptedAssertion")
    around.append(etree.parse(made).getroot())
    response.replace(plain, around)
    assert b"alice" not in etree.tostring(response)
    brought = await bring(cloud, response)
    assert brought.status == status, brought.body
    if status == 303:
        assert (await come(cloud, brought)).json()["token"]["user"]["name"] == "alice"


async def test_xmlsec1_reads_ours(cloud: ServiceUnderTest, tmp_path: Path) -> None:
    assertion = signed(cloud).find("saml:Assertion", NAMES)
    pair = cloud.runtime.state.saml_pair
    file, key, shown = (tmp_path / name for name in ("encrypted.xml", "reader.pem", "plain.xml"))
    etree.ElementTree(sealed(assertion, pair.certificate)).write(file)
    with key.open("wb") as written:
        written.write(pair.pem)
    xmlsec1("--decrypt", "--privkey-pem", key, "--output", shown, file)
    found = etree.parse(shown).find("saml:Assertion", NAMES)
    assert etree.tostring(found, method="c14n", exclusive=True) == etree.tostring(
        assertion, method="c14n", exclusive=True
    )
