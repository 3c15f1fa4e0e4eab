"""Keystone to Keystone: between two clouds with keystoneauth's own plugin, and what no cloud may take."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from lxml import etree

from pileus.services.identity.saml.issuing import SamlSigner, Subject, enveloped
from pileus.services.identity.saml.metadata import metadata
from pileus.services.identity.saml.names import NAMES, SAMLP
from pileus.services.identity.saml.trust import SamlSettings
from pileus.services.identity.settings import Settings
from pileus.testing.cloud import Cloud, running_cloud
from pileus.testing.identity import ADMIN_PROJECT, V3, serving_identity, token_for
from pileus.testing.service import ADMIN, ServiceUnderTest

OS = f"{V3}/OS-FEDERATION"
ACS = f"{OS}/saml2/acs"
FAR = "https://far.example.org/idp"
RULES = [
    {
        "remote": [{"type": "openstack_user"}, {"type": "openstack_groups"}],
        "local": [{"user": {"name": "{0}"}}, {"groups": "{1}"}],
    },
    {"remote": [{"type": "openstack_user"}], "local": [{"user": {"name": "{0}"}}]},
]
SUBJECT = Subject("alice", "Default", ["member"], "p", "Default", [])


@asynccontextmanager
async def trusting(folder: Path, **settings: Any) -> AsyncIterator[ServiceUnderTest]:
    """A cloud that trusts one far away, with these settings for it."""
    file = folder / "far.xml"
    far = {"far": SamlSettings(metadata_file=str(file), **settings)}
    async with serving_identity(folder, Settings(saml=far)) as running:
        key = running.runtime.state.saml_signer.certificate  # the same key does for both sides
        etree.ElementTree(metadata(FAR, FAR, key, FAR, key)).write(file)
        for path, body in (
            ("mappings/far", {"mapping": {"rules": RULES}}),
            ("identity_providers/far", {"identity_provider": {"enabled": True}}),
            ("identity_providers/far/protocols/saml2", {"protocol": {"mapping_id": "far"}}),
        ):
            assert (await running.put(f"{OS}/{path}", body, as_=ADMIN)).status == 201
        yield running


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with trusting(tmp_path) as running:
        yield running


def signed(cloud: ServiceUnderTest, subject: Subject = SUBJECT, **wrong: str) -> Any:
    signer: SamlSigner = cloud.runtime.state.saml_signer
    where = {"issuer": FAR, "recipient": f"http://localhost{ACS}", **wrong}
    return signer.response(where["issuer"], where["recipient"], subject)


async def bring(cloud: ServiceUnderTest, response: Any) -> Any:
    return await cloud.post(ACS, msgspec.Raw(etree.tostring(response)))


async def come(cloud: ServiceUnderTest, brought: Any) -> Any:
    path = brought.headers["location"].removeprefix("http://localhost")
    return await cloud.get(path, headers={"cookie": brought.headers["set-cookie"].partition(";")[0]})


async def test_an_assertion_lets_its_bearer_in_once(cloud: ServiceUnderTest) -> None:
    response = signed(cloud)
    brought = await bring(cloud, enveloped(response, "ss:mem:1"))
    assert brought.status == 303, brought.body
    assert "HttpOnly" in brought.headers["set-cookie"]
    token = (await come(cloud, brought)).json()["token"]
    assert token["user"]["name"] == "alice"
    assert token["methods"] == ["saml2"]
    assert (await bring(cloud, response)).status == 401
    cloud.runtime.clock.by += timedelta(minutes=2)  # type: ignore[attr-defined] - the tests' clock
    assert (await come(cloud, brought)).status == 401


async def test_without_an_assertion_nobody_comes(cloud: ServiceUnderTest) -> None:
    path = f"{OS}/identity_providers/far/protocols/saml2/auth"
    assert (await cloud.get(path)).status == 401
    token = (await token_for(cloud)).headers["x-subject-token"]
    assert (await cloud.get(path, headers={"cookie": f"pileus-saml={token}"})).status == 401


def _other_user(response: Any) -> Any:
    for each in response.iter(f"{{{NAMES['saml']}}}AttributeValue"):
        each.text = "admin"
    return response


def _unsigned(response: Any) -> Any:
    signature = response.find(".//ds:Signature", NAMES)
    signature.getparent().remove(signature)
    return response


def _wrapped_before(response: Any) -> Any:
    """A forged assertion in front of the signed one, with another id."""
    forged = _unsigned(_other_user(copy.deepcopy(response))).find(".//saml:Assertion", NAMES)
    forged.set("ID", "_forged")
    response.insert(0, forged)
    return response


def _wrapped_around(response: Any) -> Any:
    """The signed assertion hidden inside a forged one that has its id."""
    good = response.find(".//saml:Assertion", NAMES)
    forged = _other_user(copy.deepcopy(response)).find(".//saml:Assertion", NAMES)
    response.replace(good, forged)
    extension = etree.SubElement(response, f"{{{SAMLP}}}Extensions")
    extension.append(good)
    return response


@pytest.mark.parametrize("forge", [_other_user, _unsigned, _wrapped_before, _wrapped_around])
async def test_forged_assertions_make_nobody_else(
    cloud: ServiceUnderTest, forge: Callable[[Any], Any]
) -> None:
    brought = await bring(cloud, forge(signed(cloud)))
    if brought.status == 303:  # what was signed is what counts
        assert (await come(cloud, brought)).json()["token"]["user"]["name"] == "alice"
    else:
        assert brought.status == 401


async def garbled(cloud: ServiceUnderTest, whole: Any) -> None:
    """Brings it without each of its parts, and with rubbish in each."""

    async def check(response: Any, what: str) -> None:
        reply = await bring(cloud, response)
        assert reply.status in (303, 400, 401), (what, reply.body)

    for position, element in enumerate(whole.iter()):
        changed = copy.deepcopy(whole)
        there = list(changed.iter())[position]
        for name, value in there.attrib.items():
            there.set(name, "urn:x")
            await check(changed, f"{element.tag} {name}")
            there.set(name, value)
        if there.text and there.text.strip():
            there.text = "\u00e9"
            await check(changed, element.tag)
        if there.getparent() is not None:
            there.getparent().remove(there)
            await check(changed, element.tag)


async def test_whatever_is_missing_or_garbled_is_refused_at_most(cloud: ServiceUnderTest) -> None:
    await garbled(cloud, signed(cloud))


@pytest.mark.parametrize(
    "wrong", [{"issuer": "https://evil.example.org"}, {"recipient": "http://elsewhere/acs"}]
)
async def test_assertions_of_or_for_others_are_refused(
    cloud: ServiceUnderTest, wrong: dict[str, str]
) -> None:
    assert (await bring(cloud, signed(cloud, **wrong))).status == 401


async def test_another_key_is_nobodys(cloud: ServiceUnderTest, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    evil = SamlSigner(tmp_path / "evil", cloud.runtime.clock)
    assert (await bring(cloud, evil.response(FAR, f"http://localhost{ACS}", SUBJECT))).status == 401


async def test_assertions_end(cloud: ServiceUnderTest) -> None:
    response = signed(cloud)
    cloud.runtime.clock.by += timedelta(minutes=10)  # type: ignore[attr-defined] - the tests' clock
    assert (await bring(cloud, response)).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>',
        b"\xff\xfe",
    ],
)
async def test_what_is_no_response_is_refused(cloud: ServiceUnderTest, body: bytes) -> None:
    assert (await cloud.post(ACS, msgspec.Raw(body))).status in (400, 401)


async def _asked(cloud: ServiceUnderTest, token: str, provider: str = "near") -> Any:
    identity = {"methods": ["token"], "token": {"id": token}}
    auth = {"identity": identity, "scope": {"service_provider": {"id": provider}}}
    return await cloud.post(f"{V3}/auth/OS-FEDERATION/saml2", {"auth": auth})


async def test_who_gets_an_assertion(cloud: ServiceUnderTest) -> None:
    near = {"auth_url": "https://near/auth", "sp_url": "https://near/acs"}
    path = f"{OS}/service_providers/near"
    await cloud.put(path, {"service_provider": near}, as_=ADMIN)
    token = (await token_for(cloud, **ADMIN_PROJECT)).headers["x-subject-token"]
    assert (await _asked(cloud, token)).status == 403
    await cloud.patch(path, {"service_provider": {"enabled": True}}, as_=ADMIN)
    reply = await _asked(cloud, token)
    assert reply.status == 200
    assert reply.headers["x-sp-url"] == near["sp_url"]
    values = etree.fromstring(reply.body).findall(".//saml:Attribute", NAMES)
    assert {each.get("Name"): each[0].text for each in values}["openstack_user"] == "admin"
    unscoped = (await token_for(cloud, unscoped={})).headers["x-subject-token"]
    assert (await _asked(cloud, unscoped)).status == 403
    assert (await _asked(cloud, "none")).status == 401
    assert (await _asked(cloud, token, "elsewhere")).status == 404
    assert (await cloud.get(f"{V3}/auth/OS-FEDERATION/saml2")).status == 405


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Cloud]]:
    """Two: users of the first may go to the second, by assertions that the second alone can read."""
    folder = tmp_path_factory.mktemp("clouds")
    reader = folder / "away.xml"
    readers = {"PILEUS_IDENTITY__SAML_READERS": f'{{away = "{reader}"}}'}
    with running_cloud(folder / "home", settings=readers) as home:
        file = folder / "home.xml"
        file.write_bytes(requests.get(f"{home.base_url}{OS}/saml2/metadata").content)
        setting = f'{{home = {{metadata_file = "{file}"}}}}'
        with running_cloud(folder / "away", settings={"PILEUS_IDENTITY__SAML": setting}) as away:
            reader.write_bytes(requests.get(f"{away.base_url}{OS}/saml2/metadata").content)
            yield home, away


def _invite(home: Cloud, away: Cloud) -> str:
    """The project of the second cloud that the group ops of the first may use."""
    there, here = away.connect().identity, home.connect().identity
    ops = there.create_group(name="ops", domain_id="default")
    project = there.create_project(name="shared", domain_id="default")
    there.assign_project_role_to_group(project, ops, there.find_role("member"))
    there.create_mapping(id="home", rules=RULES)
    there.create_identity_provider(id="home", is_enabled=True)
    there.create_federation_protocol("home", id="saml2", mapping_id="home")
    here.create_service_provider(
        id="away",
        is_enabled=True,
        auth_url=f"{away.base_url}{OS}/identity_providers/home/protocols/saml2/auth",
        sp_url=f"{away.base_url}{ACS}",
    )
    alice = here.create_user(name="alice", domain_id="default", password="secret")
    here.assign_project_role_to_user(here.find_project("admin"), alice, here.find_role("reader"))
    here.add_user_to_group(alice, here.create_group(name="ops", domain_id="default"))
    return str(project.id)


@pytest.mark.slow
def test_between_two_clouds_with_keystoneauths_plugin(clouds: tuple[Cloud, Cloud]) -> None:
    home, away = clouds
    project_id = _invite(home, away)
    base = v3.Password(
        f"{home.base_url}/identity/v3",
        username="alice",
        password="secret",
        user_domain_id="default",
        project_name="admin",
        project_domain_id="default",
    )
    plugin = v3.Keystone2Keystone(base, "away", project_id=project_id)
    assertion = plugin._get_ecp_assertion(Session())
    assert "EncryptedAssertion" in assertion
    assert "alice" not in assertion
    shown = plugin.get_access(Session())._data["token"]
    assert shown["user"]["name"] == "alice"
    assert shown["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "home"}
    assert {each["name"] for each in shown["roles"]} == {"member", "reader"}
    assert shown["project"]["id"] == project_id
    elsewhere = away.connect().identity.create_project(name="closed", domain_id="default").id
    with pytest.raises(exceptions.Unauthorized):
        v3.Keystone2Keystone(base, "away", project_id=elsewhere).get_access(Session())
