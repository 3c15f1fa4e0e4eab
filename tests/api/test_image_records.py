"""Records of images: what is said of them, who sees them, how they are listed."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER
from tests.image_cloud import Images

OTHER = persona("project", "member", project_id="0" * 32)
READER = persona("project", "reader")


async def names(images: Images, query: str, **more: Any) -> list[str]:
    return [each["name"] for each in (await images.get(f"/images?{query}", **more))["images"]]


async def test_what_is_made(images: Images) -> None:
    reply = await images.ask("POST", "/images", {"name": "n", "tags": ["b", "a", "a"], "kind": "odd"})
    assert reply.status == 201
    assert reply.headers["openstack-image-import-methods"].split(",")[0] == "glance-direct"
    assert reply.headers["openstack-image-store-ids"] == "file,second,web"
    shown = reply.json()
    assert shown["locations"] == []
    assert (shown["tags"], shown["kind"], shown["status"]) == (["a", "b"], "odd", "queued")
    for body, status in (
        ({"status": "active"}, 403),
        ({"size": 5}, 403),
        ({"locations": []}, 403),
        ({"stores": "file"}, 403),
        ({"os_glance_x": "y"}, 403),
        ({"disk_format": "odd"}, 400),
        ({"kind": 5}, 400),
        ({"visibility": "public"}, 403),
        ({"owner": "somebody"}, 403),
    ):
        assert (await images.ask("POST", "/images", body)).status == status, body
    assert (await images.ask("POST", "/images", {}, as_=READER)).status == 403


async def test_patches(images: Images) -> None:
    image_id = await images.make(kind="odd")
    reply = await images.patch(
        image_id,
        {"op": "replace", "path": "/name", "value": "two"},
        {"op": "add", "path": "/a~1b", "value": "slash"},
        {"op": "remove", "path": "/kind"},
    )
    assert reply.status == 200
    shown = reply.json()
    assert (shown["name"], shown["a/b"], "kind" in shown) == ("two", "slash", False)
    for change, status in (
        ({"op": "replace", "path": "/kind", "value": "x"}, 409),
        ({"op": "remove", "path": "/kind"}, 409),
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "add", "path": "/os_glance_x", "value": "y"}, 403),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "add", "path": "/a/b", "value": "y"}, 400),
        ({"op": "test", "path": "/name", "value": "y"}, 400),
        ({"op": "replace", "path": "/owner", "value": "y"}, 403),
        ({"op": "remove", "path": "/locations/0"}, 409),
        ({"op": "add", "path": "/locations/-", "value": {"url": "gopher://x"}}, 400),
        ({"op": "add", "path": "/locations/-", "value": 5}, 400),
    ):
        assert (await images.patch(image_id, change)).status == status, change


async def test_filters_and_order(images: Images) -> None:
    for number, name in enumerate(("a", "b", "c", 'd,"e')):
        await images.active(
            b"x" * (number + 1) * 1000,
            name=name,
            tags=["all", name[:1]],
            os_distro="x" if number % 2 else "y",
            os_hidden=name == "c",
            protected=name == "b",
            min_disk=number,
        )
    assert await names(images, "sort=name:asc") == ["a", "b", 'd,"e']
    assert await names(images, "os_hidden=true") == ["c"]
    assert (await images.ask("GET", "/images?os_hidden=odd")).status == 400
    assert await names(images, "name=in:a,b&sort=name:desc") == ["b", "a"]
    assert await names(images, "name=in:a,%22d%2C%5C%22e%22&sort=name:asc") == ["a", 'd,"e']
    assert await names(images, "name=neq:a&sort=name:asc") == ["b", 'd,"e']
    assert await names(images, "size_min=2000&size_max=3999") == ["b"]
    assert await names(images, "tag=all&tag=b") == ["b"]
    assert await names(images, "os_distro=x&sort=name:asc") == ["b", 'd,"e']
    assert await names(images, "protected=true") == ["b"]
    assert await names(images, "created_at=gt:2001-01-01T00:00:00Z&limit=1&sort=name:asc") == ["a"]
    assert await names(images, "updated_at=lt:2001-01-01T00:00:00Z") == []
    assert await names(images, "visibility=shared&sort_key=min_disk&sort_dir=asc") == ["a", "b", 'd,"e']
    assert await names(images, "sort_key=size&sort_dir=desc&sort_key=name&sort_dir=asc&limit=2") == [
        'd,"e',
        "b",
    ]
    assert (await images.ask("GET", "/images?name=in:a,%22b")).status == 400
    assert (await images.ask("GET", "/images?sort=odd:asc")).status == 400
    assert (await images.ask("GET", "/images?size_min=many")).status == 400
    assert (await images.ask("GET", "/images?created_at=gt:never")).status == 400
    assert (await images.ask("GET", "/images?marker=nowhere")).status == 400


@pytest.mark.parametrize(
    "sort", ["", "&sort=size:asc,name:desc", "&sort_key=name", "&sort_key=updated_at&sort_dir=asc"]
)
async def test_pages_have_everything_once(images: Images, sort: str) -> None:
    made = {await images.make(name=f"n{number % 3}") for number in range(11)}
    seen: list[str] = []
    path = f"/images?limit=2{sort}"
    while path:
        page = await images.get(path)
        seen += [each["id"] for each in page["images"]]
        following = page.get("next", "/v2")
        assert following.startswith("/v2")  # clients put the endpoint before what is behind it
        path = following.removeprefix("/v2")
    assert len(seen) == len(made)
    assert set(seen) == made


async def test_who_sees_what(images: Images) -> None:
    mine = await images.active(name="mine")
    community = await images.active(name="community", visibility="community")
    public = await images.active(name="public", visibility="public", as_=ADMIN)
    assert (await images.ask("GET", f"/images/{mine}", as_=OTHER)).status == 404
    assert (await images.ask("GET", f"/images/{community}", as_=OTHER)).status == 200
    assert await names(images, "", as_=OTHER) == ["public"]
    assert await names(images, "visibility=community", as_=OTHER) == ["community"]
    assert (await images.ask("DELETE", f"/images/{public}", as_=OTHER)).status == 403
    share = {"member": OTHER.project_id}
    assert (await images.ask("POST", f"/images/{mine}/members", share)).status == 200
    assert (await images.ask("POST", f"/images/{community}/members", share)).status == 403
    assert await names(images, "member_status=pending&visibility=shared", as_=OTHER) == ["mine"]
    member = f"/images/{mine}/members/{OTHER.project_id}"
    assert (await images.ask("PUT", member, {"status": "accepted"})).status == 403
    assert (await images.ask("PUT", member, {"status": "accepted"}, as_=OTHER)).status == 200
    assert sorted(await names(images, "", as_=OTHER)) == ["mine", "public"]
    assert (await images.ask("GET", f"/images/{mine}/file", as_=OTHER)).status == 200
    assert (await images.ask("DELETE", f"/images/{mine}", as_=OTHER)).status == 403


async def test_deactivated_and_protected(images: Images) -> None:
    image_id = await images.active(protected=True)
    assert (await images.ask("DELETE", f"/images/{image_id}")).status == 403
    assert (await images.ask("POST", f"/images/{image_id}/actions/deactivate")).status == 204
    assert (await images.ask("GET", f"/images/{image_id}/file")).status == 403
    assert (await images.ask("GET", f"/images/{image_id}/file", as_=ADMIN)).status == 200
    assert (await images.import_(image_id, "glance-direct")).status == 409
    assert (await images.ask("POST", f"/images/{image_id}/actions/reactivate")).status == 204
    assert (await images.ask("GET", f"/images/{image_id}/file", as_=MEMBER)).status == 200


async def test_what_the_cloud_can_do(images: Images) -> None:
    assert (await images.get("/info/import"))["import-methods"]["value"][1] == "web-download"
    stores = (await images.get("/info/stores"))["stores"]
    assert [each["id"] for each in stores] == ["file", "second", "web"]
    assert [each["weight"] for each in stores] == [10, 5, 0]
    assert (stores[0]["default"], stores[2]["read-only"]) == ("true", "true")
    assert (await images.ask("GET", "/info/stores/detail")).status == 403
    detail = (await images.get("/info/stores/detail", as_=ADMIN))["stores"]
    assert [each["type"] for each in detail] == ["file", "file", "http"]
    assert set((await images.get("/info/usage"))["usage"]["image_count_total"]) == {"usage", "limit"}
    versions = {each["id"] for each in (await images.get("/"))["versions"]}
    assert {"v2.8", "v2.17", "v2.18"} <= versions
