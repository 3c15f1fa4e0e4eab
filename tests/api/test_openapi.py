"""The OpenAPI documents: whole, true to the standard, served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from pileus.app.services import SERVICES, load
from pileus.kernel.api.answer import NOTHING, OCTETS, WHATEVER, Media, answers
from pileus.kernel.api.common import service as common
from pileus.kernel.api.openapi import document, key_of
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes, Service
from pileus.kernel.http.reply import JSON
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
    methods = {"delete", "get", "head", "options", "patch", "post", "put", "trace"}
    for operations in described["paths"].values():
        assert {name for name in operations if not name.startswith("x-")} <= methods
    version = service.versions.newest() if service.versions else None
    for path, operation in service.operations():
        if operation.alive(version):
            shown = described["paths"][path.replace(":path}", "}")][key_of(operation.method)]
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


def test_documents_of_old_versions_have_what_there_was() -> None:
    from pileus.services.placement.service import service
    from pileus.services.placement.versions import V

    shown = "/placement/resource_providers/{uuid}/traits"
    oldest, newest = document(service, V.lowest()), document(service)
    assert oldest["info"]["version"] == "1.0"
    assert shown in newest["paths"]
    assert shown not in oldest["paths"]
    provider = oldest["components"]["schemas"]["ResourceProvider"]
    assert set(provider["properties"]) == {"uuid", "name", "generation", "links"}


def test_several_are_made_at_once_where_the_dialect_has_it() -> None:
    from pileus.services.network.service import service

    post = document(service)["paths"]["/networking/v2.0/ports"]["post"]
    answer = post["responses"]["201"]["content"][JSON]["schema"]
    for schema in (answer, post["requestBody"]["content"][JSON]["schema"]):
        one, several = schema["oneOf"]
        assert (one["required"], several["required"]) == (["port"], ["ports"])


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


@pytest.mark.parametrize("service", EVERY, ids=lambda each: str(each.type))
def test_every_answer_is_described(service: Service) -> None:
    """What nobody declared would be anything at all; what has no schema is not JSON."""
    undeclared = [
        f"{operation.label}: {status}"
        for _, operation in service.operations()
        for status, answer in answers(operation).items()
        if answer is None
    ]
    assert not undeclared
    vague = [
        f"{method.upper()} {path}: {status}"
        for path, methods in document(service)["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        if answer.get("content", {}).get(JSON) in ({}, {"schema": {}})
    ]
    assert not vague


class Answer(msgspec.Struct):
    size: int


def test_answers_follow_from_handlers() -> None:
    routes = Routes()

    @routes.add("GET", "/shape", policy=ANYONE)
    def shape(call: Any, tx: Any) -> Answer:
        return Answer(1)

    @routes.add("PUT", "/nothing", policy=ANYONE, status=201)
    def nothing(call: Any, tx: Any) -> None:
        return None

    @routes.add(
        "GET", "/picture", policy=ANYONE, answers=Media("image/png"), also={206: OCTETS, 302: NOTHING}
    )
    def picture(call: Any, tx: Any) -> Any:
        return None

    @routes.add("GET", "/whatever", policy=ANYONE)
    def whatever(call: Any, tx: Any) -> dict[str, Any]:
        return {}

    paths = document(replace(widgets, resources=(), routes=[routes]))["paths"]

    def content(path: str, method: str, status: str) -> Any:
        return paths[f"/widget/v2{path}"][method]["responses"][status].get("content")

    assert content("/shape", "get", "200") == {
        JSON: {"schema": {"$ref": "#/components/schemas/Answer"}},
    }
    assert content("/nothing", "put", "201") is None
    assert content("/picture", "get", "200") == {"image/png": {}}
    assert content("/picture", "get", "206") == {"application/octet-stream": {}}
    assert content("/picture", "get", "302") is None
    assert content("/whatever", "get", "200") == {WHATEVER.type: {}}
