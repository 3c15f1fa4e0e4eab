"""Metadata definitions: the catalogue, and everything that can be done with it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pileus.services.image.metadef import catalogue
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER
from tests.image_cloud import Images

OTHER = persona("project", "member", project_id="0" * 32)
NAMESPACES = "/metadefs/namespaces"
NEW = {
    "namespace": "Ours::Things",
    "display_name": "Things",
    "visibility": "private",
    "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
    "properties": {"size": {"title": "Size", "type": "integer", "minimum": 1}},
    "objects": [{"name": "box", "properties": {"lid": {"title": "Lid", "type": "boolean"}}}],
    "tags": [{"name": "round"}],
}


@pytest.fixture
async def images(images: Images) -> Images:
    await images.cloud.runtime.db.write(catalogue.lay)
    return images


async def test_the_catalogue(images: Images) -> None:
    names = [each["namespace"] for each in (await images.get(NAMESPACES))["namespaces"]]
    assert len(names) == 25  # a page
    listed = await images.get(f"{NAMESPACES}?limit=1000&sort_key=namespace&sort_dir=asc")
    names = [each["namespace"] for each in listed["namespaces"]]
    assert names == sorted(names)
    assert {"OS::Compute::VirtCPUTopology", "OS::OperatingSystem", "OS::Software::DBMS"} <= set(names)
    second = await images.get(f"{NAMESPACES}?limit=1&sort_key=namespace&sort_dir=asc&marker={names[0]}")
    assert [each["namespace"] for each in second["namespaces"]] == [names[1]]
    shown = await images.get(f"{NAMESPACES}/OS::Compute::VirtCPUTopology?resource_type=OS::Nova::Flavor")
    assert shown["properties"]["hw:cpu_sockets"]["type"] == "integer"
    assert shown["protected"] is True
    for_volumes = await images.get(f"{NAMESPACES}?resource_types=OS::Cinder::Volume&limit=1000")
    assert 0 < len(for_volumes["namespaces"]) < len(names)
    kinds = [each["name"] for each in (await images.get("/metadefs/resource_types"))["resource_types"]]
    assert {"OS::Glance::Image", "OS::Nova::Flavor"} <= set(kinds)
    await images.cloud.runtime.db.write(catalogue.lay)  # at the next start
    assert len((await images.get(f"{NAMESPACES}?limit=1000"))["namespaces"]) == len(names)


async def test_every_namespace_is_as_its_schema_says(images: Images) -> None:
    schema = await images.get("/schemas/metadefs/namespace")
    check = Draft202012Validator({**schema, "$defs": {}})
    listed = await images.get(f"{NAMESPACES}?limit=1000")
    for each in listed["namespaces"]:
        check.validate(await images.get(f"{NAMESPACES}/{each['namespace']}"))


async def test_a_namespace(images: Images) -> None:
    assert (await images.ask("POST", NAMESPACES, NEW)).status == 403
    made = await images.ask("POST", NAMESPACES, NEW, as_=ADMIN)
    assert made.status == 201, made.body
    assert made.headers["location"].endswith("/v2/metadefs/namespaces/Ours::Things")
    shown = made.json()
    assert shown["properties"] == NEW["properties"]
    assert shown["objects"][0]["name"] == "box"
    assert shown["tags"] == [{"name": "round"}]
    assert (await images.ask("POST", NAMESPACES, NEW, as_=ADMIN)).status == 409
    one = f"{NAMESPACES}/Ours::Things"
    assert (await images.get(one, as_=MEMBER))["owner"] == MEMBER.project_id  # the administrator's project
    assert (await images.ask("GET", one, as_=OTHER)).status == 404
    changed = {"namespace": "Ours::Things", "visibility": "public", "protected": True}
    reply = await images.ask("PUT", one, changed, as_=ADMIN)
    assert (reply.status, reply.json()["display_name"]) == (200, None)
    assert (await images.get(one, as_=OTHER))["visibility"] == "public"
    for path in ("", "/objects", "/objects/box", "/properties/size", "/tags/round"):
        assert (await images.ask("DELETE", one + path, as_=ADMIN)).status == 403
    taken = {"namespace": "OS::OperatingSystem"}
    assert (await images.ask("PUT", one, taken, as_=ADMIN)).status == 409
    await images.ask("PUT", one, {"namespace": "Ours::Others"}, as_=ADMIN)
    assert (await images.ask("DELETE", f"{NAMESPACES}/Ours::Others", as_=ADMIN)).status == 204
    assert (await images.ask("GET", f"{NAMESPACES}/Ours::Others", as_=ADMIN)).status == 404


@pytest.mark.parametrize(
    ("collection", "body", "changed"),
    [
        ("objects", {"name": "crate", "description": "big"}, {"name": "chest", "required": ["lid"]}),
        (
            "properties",
            {"name": "weight", "title": "Weight", "type": "number"},
            {"name": "mass", "title": "Mass", "type": "integer", "enum": [1, 2]},
        ),
    ],
)
async def test_what_is_in_a_namespace(
    images: Images, collection: str, body: dict[str, Any], changed: dict[str, Any]
) -> None:
    await images.ask("POST", NAMESPACES, NEW, as_=ADMIN)
    path = f"{NAMESPACES}/Ours::Things/{collection}"
    assert (await images.ask("POST", path, body)).status == 403
    assert (await images.ask("POST", path, {**body, "odd": 1}, as_=ADMIN)).status == 400
    made = await images.ask("POST", path, body, as_=ADMIN)
    assert (made.status, made.json() | body) == (201, made.json())
    assert (await images.ask("POST", path, body, as_=ADMIN)).status == 409
    assert body["name"] in str(await images.get(path))
    reply = await images.ask("PUT", f"{path}/{body['name']}", changed, as_=ADMIN)
    assert (reply.status, reply.json() | changed) == (200, reply.json())
    assert (await images.ask("GET", f"{path}/{body['name']}")).status == 404
    assert (await images.get(f"{path}/{changed['name']}"))["name"] == changed["name"]
    assert (await images.ask("DELETE", f"{path}/{changed['name']}", as_=ADMIN)).status == 204
    assert (await images.ask("DELETE", path, as_=ADMIN)).status == 204
    assert not (await images.get(path))[collection]


async def test_tags(images: Images) -> None:
    await images.ask("POST", NAMESPACES, NEW, as_=ADMIN)
    path = f"{NAMESPACES}/Ours::Things/tags"

    async def names(query: str = "") -> list[str]:
        return [each["name"] for each in (await images.get(path + query))["tags"]]

    assert (await images.ask("POST", f"{path}/flat", as_=ADMIN)).status == 201
    assert (await images.ask("POST", f"{path}/flat", as_=ADMIN)).status == 409
    assert await names() == ["flat", "round"]
    assert await names("?limit=1&marker=flat") == ["round"]
    assert (await images.ask("PUT", f"{path}/flat", {"name": "thin"}, as_=ADMIN)).json()["name"] == "thin"
    several = {"tags": [{"name": "a"}, {"name": "b"}]}
    append = {"x-openstack-append": "True"}
    assert (await images.ask("POST", path, several, as_=ADMIN, headers=append)).status == 201
    assert await names() == ["a", "b", "round", "thin"]
    assert (await images.ask("POST", path, several, as_=ADMIN, headers=append)).status == 409
    assert (await images.ask("POST", path, several, as_=ADMIN)).status == 201
    assert await names() == ["a", "b"]
    assert (await images.ask("DELETE", path, as_=ADMIN)).status == 204
    assert await names() == []


async def test_resource_types(images: Images) -> None:
    await images.ask("POST", NAMESPACES, NEW, as_=ADMIN)
    path = f"{NAMESPACES}/Ours::Things/resource_types"
    wanted = {"name": "Ours::New", "prefix": "new:", "properties_target": "image"}
    made = await images.ask("POST", path, wanted, as_=ADMIN)
    assert (made.status, made.json() | wanted) == (201, made.json())
    assert (await images.ask("POST", path, wanted, as_=ADMIN)).status == 409
    kinds = [each["name"] for each in (await images.get("/metadefs/resource_types"))["resource_types"]]
    assert "Ours::New" in kinds
    prefixed = await images.get(f"{NAMESPACES}/Ours::Things/properties/new:size?resource_type=Ours::New")
    assert prefixed["name"] == "new:size"
    listed = (await images.get(path))["resource_type_associations"]
    assert [each["name"] for each in listed] == ["OS::Glance::Image", "Ours::New"]
    assert (await images.ask("DELETE", f"{path}/Ours::New", as_=ADMIN)).status == 204
    assert (await images.ask("DELETE", f"{path}/Ours::New", as_=ADMIN)).status == 404
