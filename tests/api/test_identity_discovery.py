"""What identity says of itself: versions, and every address by its relation."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pileus.services.identity import json_home
from pileus.services.identity.service import service
from pileus.testing.identity import V3, serving_identity
from pileus.testing.service import ServiceUnderTest

UNRELATED = {
    "/",
    "/OS-FEDERATION/domains",
    "/OS-FEDERATION/projects",
    "/OS-FEDERATION/saml2/acs",
    "/auth/OS-FEDERATION/oidc/callback",
}
"""Addresses without a relation of upstream's: replaced by others, or our own."""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_relation_leads_somewhere() -> None:
    served = {shape(path.removeprefix(service.path)) for path, _ in service.operations()}
    related = [path for each in (json_home.CORE, *json_home.EXTENSIONS.values()) for path in each.values()]
    assert [path for path in related if shape(path) not in served] == []


def test_everything_has_a_relation() -> None:
    related = {
        shape(path) for each in (json_home.CORE, *json_home.EXTENSIONS.values()) for path in each.values()
    }
    served = {
        shape(path.removeprefix(service.path))
        for path, _ in service.operations()
        if path.startswith(service.path)
    }
    assert served - related == UNRELATED


async def test_json_home_is_for_who_asks(cloud: ServiceUnderTest) -> None:
    reply = await cloud.get(f"{V3}", headers={"accept": "application/json-home"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json-home")
    found = reply.json()["resources"]
    root = "https://docs.openstack.org/api/openstack-identity/3"
    assert found[f"{root}/rel/projects"] == {"href": "/projects"}
    assert found[f"{root}/ext/OS-TRUST/1.0/rel/trust"] == {
        "href-template": "/OS-TRUST/trusts/{trust_id}",
        "href-vars": {"trust_id": f"{root}/ext/OS-TRUST/1.0/param/trust_id"},
    }
    below = await cloud.get("/identity", headers={"accept": "application/json-home"})
    assert below.json()["resources"][f"{root}/rel/projects"] == {"href": "/v3/projects"}
    plain = await cloud.get(f"{V3}", headers={"accept": "application/json"})
    assert plain.json()["version"]["id"] == "v3.14"
