"""The OpenAPI documents: whole, true to the standard, served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pileus.app.services import SERVICES, load
from pileus.kernel.api.common import service as common
from pileus.kernel.api.openapi import document
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Service
from pileus.testing.service import serving
from tests.api.test_declared_once import service as widgets

EVERY = load(*SERVICES)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.mark.parametrize("service", EVERY, ids=lambda each: str(each.type))
def test_documents_are_whole(service: Service) -> None:
    described = document(service)
    names = described["components"]["schemas"]
    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in names
    for schema in names.values():
        Draft202012Validator.check_schema(schema)
    version = service.versions.newest() if service.versions else None
    for path, operation in service.operations():
        if operation.alive(version):
            shown = described["paths"][path.replace(":path}", "}")][operation.method.lower()]
            assert ("security" in shown) == (operation.policy is not ANYONE)
            assert str(operation.status) in shown["responses"]


def test_what_is_declared_is_described() -> None:
    described = document(widgets)
    assert described["info"] == {"title": "widgets", "version": "2.1"}
    posted = described["paths"]["/widget/v2/widgets"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert posted["required"] == ["widget"]
    body = described["components"]["schemas"]["WidgetCreate"]
    assert body["required"] == ["size"]
    assert body["additionalProperties"] is False
    assert body["properties"]["size"] == {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
    assert "shiny" in body["properties"]
    assert described["components"]["schemas"]["Widget"]["properties"]["created_at"]["format"] == "date-time"
    listed = {each["name"] for each in described["paths"]["/widget/v2/widgets"]["get"]["parameters"]}
    assert {"name", "status", "limit", "marker", "sort_key"} <= listed
    action = described["paths"]["/widget/v2/widgets/{id}/action"]["post"]["requestBody"]
    assert action["content"]["application/json"]["schema"]["required"] == ["polish"]


async def test_documents_are_served() -> None:
    async with serving(common) as cloud:
        found = await cloud.get("/openapi/pileus")
        assert found.json()["openapi"] == "3.1.0"
        assert "/openapi/{service_type}" in found.json()["paths"]
        missing = await cloud.get("/openapi/nothing")
        assert missing.status == 404
        assert "pileus" in missing.json()["error"]["message"]


def test_an_answer_that_is_no_resource_has_its_shape() -> None:
    from pileus.services.identity.service import service

    paths = document(service)
    answer = paths["paths"]["/identity/v3/auth/tokens"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    name = answer["schema"]["$ref"].rpartition("/")[2]
    token = paths["components"]["schemas"][name]
    assert token["required"] == ["token"]
    assert "content" not in paths["paths"]["/identity/v3/auth/tokens"]["head"]["responses"]["200"]
