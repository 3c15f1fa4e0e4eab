"""OS-FEDERATION: what is trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.testing.identity import V3, serving_identity
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest
from tests.identity_guests import OS, RULES, trust


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def test_an_identity_provider_has_a_domain_of_its_own(cloud: ServiceUnderTest) -> None:
    made = await cloud.put(f"{OS}/identity_providers/acme", {"identity_provider": {}}, as_=ADMIN)
    assert made.status == 201
    provider = made.json()["identity_provider"]
    domain = (await cloud.get(f"{V3}/domains/{provider['domain_id']}", as_=ADMIN)).json()["domain"]
    assert domain["enabled"]
    assert provider == {
        "id": "acme",
        "domain_id": domain["id"],
        "enabled": False,
        "description": None,
        "authorization_ttl": None,
        "remote_ids": [],
        "links": {
            "self": f"http://localhost{OS}/identity_providers/acme",
            "protocols": f"http://localhost{OS}/identity_providers/acme/protocols",
        },
    }
    again = await cloud.put(f"{OS}/identity_providers/acme", {"identity_provider": {}}, as_=ADMIN)
    assert again.status == 409


async def test_remote_ids_belong_to_one_provider(cloud: ServiceUnderTest) -> None:
    body = {"identity_provider": {"remote_ids": ["https://a", "https://b"], "domain_id": "default"}}
    assert (await cloud.put(f"{OS}/identity_providers/one", body, as_=ADMIN)).status == 201
    assert (await cloud.put(f"{OS}/identity_providers/two", body, as_=ADMIN)).status == 409
    changed = await cloud.patch(
        f"{OS}/identity_providers/one", {"identity_provider": {"remote_ids": ["https://c"]}}, as_=ADMIN
    )
    assert changed.json()["identity_provider"]["remote_ids"] == ["https://c"]
    assert (await cloud.put(f"{OS}/identity_providers/two", body, as_=ADMIN)).status == 201
    listed = (await cloud.get(f"{OS}/identity_providers?id=two", as_=ADMIN)).json()
    assert [each["remote_ids"] for each in listed["identity_providers"]] == [["https://a", "https://b"]]


@pytest.mark.parametrize(
    "body",
    [
        {"remote_ids": ["a", "a"]},
        {"remote_ids": ["x" * 300]},
        {"authorization_ttl": -1},
        {"unknown": 1},
        {"enabled": "perhaps"},
    ],
)
async def test_what_is_no_identity_provider(cloud: ServiceUnderTest, body: dict[str, Any]) -> None:
    reply = await cloud.put(f"{OS}/identity_providers/acme", {"identity_provider": body}, as_=ADMIN)
    assert reply.status == 400
    assert (await cloud.get(f"{OS}/identity_providers/acme", as_=ADMIN)).status == 404


async def test_an_identity_providers_domain_stays(cloud: ServiceUnderTest) -> None:
    await trust(cloud)
    body = {"identity_provider": {"domain_id": "default"}}
    assert (await cloud.patch(f"{OS}/identity_providers/acme", body, as_=ADMIN)).status == 400
    body = {"identity_provider": {"domain_id": "nowhere"}}
    assert (await cloud.put(f"{OS}/identity_providers/other", body, as_=ADMIN)).status == 404


async def test_protocols_name_a_mapping_that_is_there(cloud: ServiceUnderTest) -> None:
    await trust(cloud)
    path = f"{OS}/identity_providers/acme/protocols"
    bad = {"protocol": {"mapping_id": "nothing"}}
    assert (await cloud.put(f"{path}/saml2", bad, as_=ADMIN)).status == 400
    assert (await cloud.patch(f"{path}/openid", bad, as_=ADMIN)).status == 400
    shown = (await cloud.get(f"{path}/openid", as_=ADMIN)).json()["protocol"]
    assert shown.keys() == {"id", "mapping_id", "links"}
    (listed,) = (await cloud.get(path, as_=ADMIN)).json()["protocols"]
    assert listed["idp_id"] == "acme"
    assert listed["remote_id_attribute"] is None
    assert (await cloud.delete(f"{path}/openid", as_=ADMIN)).status == 204
    assert (await cloud.get(f"{path}/openid", as_=ADMIN)).status == 404


async def test_a_mapping_is_checked(cloud: ServiceUnderTest) -> None:
    bad = {"mapping": {"rules": [{"remote": [{"type": "sub"}], "local": [{"user": {"name": "{7}"}}]}]}}
    reply = await cloud.put(f"{OS}/mappings/rules", bad, as_=ADMIN)
    assert reply.status == 400
    assert "{7}" in reply.json()["error"]["message"]
    assert (await cloud.put(f"{OS}/mappings/rules", {"mapping": {}}, as_=ADMIN)).status == 400
    good = {"mapping": {"rules": RULES}}
    made = await cloud.put(f"{OS}/mappings/rules", good, as_=ADMIN)
    assert made.json()["mapping"]["schema_version"] == "1.0"
    assert (await cloud.patch(f"{OS}/mappings/rules", bad, as_=ADMIN)).status == 400
    assert (await cloud.get(f"{OS}/mappings/rules", as_=ADMIN)).json()["mapping"]["rules"] == RULES


async def test_enabled_service_providers_are_in_every_token(cloud: ServiceUnderTest) -> None:
    body = {"auth_url": "https://sp/auth", "sp_url": "https://sp/ecp"}
    made = await cloud.put(f"{OS}/service_providers/far", {"service_provider": body}, as_=ADMIN)
    assert made.status == 201
    assert made.json()["service_provider"]["relay_state_prefix"] == "ss:mem:"
    assert not made.json()["service_provider"]["enabled"]
    from pileus.testing.identity import token_for

    assert "service_providers" not in (await token_for(cloud)).json()["token"]
    on = {"service_provider": {"enabled": True}}
    assert (await cloud.patch(f"{OS}/service_providers/far", on, as_=ADMIN)).status == 200
    assert (await token_for(cloud)).json()["token"]["service_providers"] == [{"id": "far", **body}]
    empty: dict[str, Any] = {"service_provider": {}}
    assert (await cloud.patch(f"{OS}/service_providers/far", empty, as_=ADMIN)).status == 400


@pytest.mark.parametrize("noun", ["identity_providers", "mappings", "service_providers"])
async def test_only_administrators_decide_whom_to_trust(cloud: ServiceUnderTest, noun: str) -> None:
    reader = persona("system", "reader")
    assert (await cloud.get(f"{OS}/{noun}", as_=reader)).status == 200
    assert (await cloud.get(f"{OS}/{noun}", as_=MEMBER)).status == 403
    assert (await cloud.delete(f"{OS}/{noun}/x", as_=reader)).status == 403
    assert (await cloud.delete(f"{OS}/{noun}/x", as_=ADMIN)).status == 404
