"""The API layer, through a small service of its own: what one declaration gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Integer, String, Table, func, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.fields import (
    Name,
    NonNegativeInt,
    PositiveInt,
    brief,
    create,
    field,
    filter,
    read_only,
    sort,
    update,
)
from pileus.kernel.api.links import next_link_list
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.quota import Quota, Quotas
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Routes, Service
from pileus.kernel.api.versions import Version, Versions
from pileus.kernel.db import Timestamp, Tx, metadata, rows
from pileus.kernel.errors import Bug, Conflict
from pileus.kernel.policy import Rule
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving

widgets = Table(
    "test_widgets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("size_gib", Integer, nullable=False),
    Column("shiny", Boolean, nullable=False, default=False),
    Column("status", String(16), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)


class V(Versions):
    service_type = "widget"
    BASE = Version("2.0", "The first.")
    SHINY = Version("2.1", "Widgets may shine.")


DIALECT = Dialect(
    name="test",
    envelope=lambda error, request_id: {"error": {"code": error.status, "message": error.message}},
    links=next_link_list,
    page_limit=100,
)


class Widget(Resource, member="widget", collection="widgets", table=widgets):
    id: str = field(read_only, filter, sort, brief)
    name: Name | None = field(create, update, filter, sort, brief)
    size: PositiveInt = field(create, sort, filter, required=True, column="size_gib")
    shiny: bool = field(create, default=False, since=V.SHINY)
    status: str = field(read_only, filter)
    doubled: NonNegativeInt = field(render=lambda call, row: row.size_gib * 2)
    created_at: datetime = field(sort)


@Widget.create(policy="widget:create", status=202, quota={"widgets": 1, "gigabytes": lambda body: body.size})
def create_widget(call: Call, tx: Tx, body: Any) -> Any:
    values = {**Widget.columns(body), "project_id": call.project_id, "status": "available"}
    return rows.add(tx, widgets, values)


@Widget.update(policy="widget:update")
def update_widget(call: Call, tx: Tx, row: Any, body: Any) -> Any:
    rows.change(tx, widgets, row.id, **Widget.columns(body))
    return rows.existing(tx, widgets, row.id)


@Widget.delete(policy="widget:delete")
def delete_widget(call: Call, tx: Tx, row: Any) -> None:
    if row.status != "available":
        raise Conflict(f"Widget {row.id} is {row.status}; wait until it is available.")
    rows.remove(tx, widgets, row.id)


class Gadget(Resource, member="gadget", collection="new_gadgets", table=widgets, since=V.SHINY):
    """Seen since 2.1, whatever its operations say."""

    id: str = field(read_only)


Gadget.show(policy="widget:get")
Gadget.list(policy="widget:list")


@Widget.action("polish", policy="widget:update", body=dict[str, int])
def polish(call: Call, tx: Tx, row: Any, body: dict[str, int]) -> None:
    rows.note(tx, widgets, row.id, status="polished")


Widget.show(policy="widget:get")
Widget.list(policy="widget:list", view="brief")
Widget.list(policy="widget:list", suffix="/detail")

routes = Routes()


@routes.add("GET", "/boom", policy=ANYONE)
def boom(call: Call, tx: Tx) -> Any:
    raise RuntimeError("a bug")


MEMBERS = "role:member and project_id:%(project_id)s or role:admin"
COUNT = select(func.count()).select_from(widgets).where(widgets.c.project_id == func.coalesce(None, "x"))


def used(column: Any) -> Any:
    from sqlalchemy import bindparam

    return select(column).where(widgets.c.project_id == bindparam("project_id"))


service = Service(
    type="widget",
    name="widgets",
    root="/widget",
    path="/widget/v2",
    dialect=DIALECT,
    resources=[Widget, Gadget],
    routes=[routes],
    versions=V,
    rules=[
        *(Rule(f"widget:{name}", MEMBERS) for name in ("create", "update", "delete")),
        *(
            Rule(f"widget:{name}", "role:reader and project_id:%(project_id)s or role:admin")
            for name in ("get", "list")
        ),
    ],
    quotas=Quotas(
        "widget",
        Quota("widgets", 3, used(func.count())),
        Quota("gigabytes", 100, used(func.sum(widgets.c.size_gib))),
    ),
    project_in_path=True,
)
LATEST = {"openstack-api-version": "widget latest"}


@pytest.fixture
async def cloud() -> Any:
    async with serving(service) as running:
        yield running


async def made(cloud: ServiceUnderTest, name: str = "w", size: int = 1, **more: Any) -> dict[str, Any]:
    reply = await cloud.post("/widget/v2/widgets", {"widget": {"name": name, "size": size}}, **more)
    assert reply.status == 202, reply.body
    widget: dict[str, Any] = reply.json()["widget"]
    return widget


async def test_create_show_update_delete(cloud: ServiceUnderTest) -> None:
    widget = await made(cloud, "one", 7)
    assert (widget["name"], widget["size"], widget["doubled"]) == ("one", 7, 14)
    path = f"/widget/v2/widgets/{widget['id']}"
    assert (await cloud.get(path)).json()["widget"] == widget
    assert (await cloud.put(path, {"widget": {"name": "two"}})).json()["widget"]["name"] == "two"
    assert (await cloud.put(path, {"widget": {}})).json()["widget"]["name"] == "two"
    assert (await cloud.delete(path)).status == 204
    assert (await cloud.get(path)).status == 404


async def test_versions_project_fields(cloud: ServiceUnderTest) -> None:
    old = await made(cloud)
    assert "shiny" not in old
    reply = await cloud.post("/widget/v2/widgets", {"widget": {"size": 1, "shiny": True}})
    assert reply.status == 400
    assert "'shiny' was unexpected" in reply.json()["error"]["message"]
    reply = await cloud.post("/widget/v2/widgets", {"widget": {"size": 1, "shiny": True}}, headers=LATEST)
    assert reply.json()["widget"]["shiny"] is True
    assert reply.headers["openstack-api-version"] == "widget 2.1"
    assert (
        await cloud.get("/widget/v2/widgets", headers={"openstack-api-version": "widget 2.2"})
    ).status == 406
    assert (
        await cloud.get("/widget/v2/widgets", headers={"openstack-api-version": "widget x"})
    ).status == 400


async def test_a_resource_may_be_younger_than_its_service(cloud: ServiceUnderTest) -> None:
    path = f"/widget/v2/new_gadgets/{(await made(cloud))['id']}"
    for each in (path, "/widget/v2/new_gadgets"):
        assert (await cloud.get(each)).status == 404
        assert (await cloud.get(each, headers=LATEST)).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"widget": {"name": "x"}}, "'size' is a required property"),
        ({"widget": {"name": "x", "size": "big"}}, "size"),
        ({"widget": {"name": "x", "size": 0}}, "size"),
        ({"widget": {"name": "x" * 256, "size": 1}}, "name"),
        ({"widget": {"name": "x", "size": 1, "colour": "red"}}, "'colour' was unexpected"),
        ({"gadget": {}}, "'gadget' was unexpected"),
        ([], "Invalid input"),
        ("x", "Invalid input"),
    ],
)
async def test_bad_bodies_name_what_is_wrong(cloud: ServiceUnderTest, body: Any, words: str) -> None:
    reply = await cloud.post("/widget/v2/widgets", body)
    assert reply.status == 400
    assert words in reply.json()["error"]["message"]


async def test_others_do_not_see_it_and_readers_do_not_change_it(cloud: ServiceUnderTest) -> None:
    path = f"/widget/v2/widgets/{(await made(cloud))['id']}"
    assert (await cloud.get(path, as_=persona("project", "member", project_id="other"))).status == 404
    reader = persona("project", "reader")
    assert (await cloud.get(path, as_=reader)).status == 200
    assert (await cloud.delete(path, as_=reader)).status == 403
    assert (await cloud.get(path, as_=ADMIN)).status == 200


async def test_pages_filters_and_sorting(cloud: ServiceUnderTest) -> None:
    for n in range(3):
        await made(cloud, f"w{n}", n + 1)
    reply = (await cloud.get("/widget/v2/widgets?limit=2&sort_key=name&sort_dir=asc")).json()
    assert [w["name"] for w in reply["widgets"]] == ["w0", "w1"]
    assert set(reply["widgets"][0]) == {"id", "name"}
    following = reply["widgets_links"][0]["href"].removeprefix("http://localhost")
    reply = (await cloud.get(following)).json()
    assert [w["name"] for w in reply["widgets"]] == ["w2"]
    assert "widgets_links" not in reply
    assert [w["size"] for w in (await cloud.get("/widget/v2/widgets/detail?size=2")).json()["widgets"]] == [2]
    assert (await cloud.get("/widget/v2/widgets?sort_key=colour")).status == 400
    assert (await cloud.get("/widget/v2/widgets?limit=-1")).status == 400
    assert (await cloud.get("/widget/v2/widgets?marker=nowhere")).status == 400
    assert len((await cloud.get("/widget/v2/widgets?sort=size:asc,name:desc")).json()["widgets"]) == 3


async def test_quota_counts_live_rows(cloud: ServiceUnderTest) -> None:
    widget = await made(cloud, size=60)
    reply = await cloud.post("/widget/v2/widgets", {"widget": {"size": 50}})
    assert reply.status == 403
    assert "gigabytes" in reply.json()["error"]["message"]
    await cloud.delete(f"/widget/v2/widgets/{widget['id']}")
    await made(cloud, size=50)


async def test_actions(cloud: ServiceUnderTest) -> None:
    path = f"/widget/v2/widgets/{(await made(cloud))['id']}"
    assert (await cloud.post(f"{path}/action", {"dance": None})).status == 400
    assert (await cloud.post(f"{path}/action", {"polish": {"hard": 1}})).status == 202
    assert (await cloud.delete(path)).status == 409
    assert (await cloud.post(f"{path}/action", {})).status == 400


async def test_the_same_key_makes_one(cloud: ServiceUnderTest) -> None:
    key = {"idempotency-key": "once"}
    first, again = await made(cloud, headers=key), await made(cloud, headers=key)
    assert first == again
    assert len((await cloud.get("/widget/v2/widgets")).json()["widgets"]) == 1
    other = await cloud.put(f"/widget/v2/widgets/{first['id']}", {"widget": {"name": "x"}}, headers=key)
    assert other.status == 422


async def test_a_project_in_the_path_must_be_the_callers(cloud: ServiceUnderTest) -> None:
    assert (await cloud.get(f"/widget/v2/{MEMBER.project_id}/widgets")).status == 200
    assert (await cloud.get("/widget/v2/someone/widgets")).status == 403


async def test_wrong_ways(cloud: ServiceUnderTest) -> None:
    assert (await cloud.get("/widget/v2/gadgets")).status == 404
    reply = await cloud.request("PATCH", "/widget/v2/widgets")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")
    reply = await cloud.get("/widget/v2/boom")
    assert reply.status == 500
    assert reply.headers["x-openstack-request-id"] in reply.json()["error"]["message"]
    assert "RuntimeError" not in reply.body.decode()


def test_a_gap_between_versions_does_not_start() -> None:
    with pytest.raises(ValueError, match="does not follow"):

        class Gap(Versions):
            service_type = "x"
            ONE = Version("1.0", "")
            THREE = Version("1.2", "")


def test_an_operation_without_a_rule_does_not_start() -> None:
    class Thing(Resource, member="thing", collection="things", table=widgets):
        id: str = field(read_only)

    Thing.show(policy="no:such_rule")
    broken = Service(type="t", name="t", root="/t", path="/t", dialect=DIALECT, resources=[Thing])
    from pileus.kernel.api.application import Application
    from pileus.kernel.api.service import Runtime
    from pileus.kernel.policy import Enforcer

    runtime: Any = Runtime(
        service=broken,
        db=None,
        clock=None,
        enforcer=Enforcer([]),
        authenticate=None,
        work=None,
        events=None,  # type: ignore[arg-type]
    )
    with pytest.raises(Bug, match="no rule"):
        Application([runtime], DIALECT)


async def test_a_slash_at_the_end_does_not_matter_unless_the_dialect_says_so() -> None:
    assert (await _statuses_of_slashes(DIALECT)) == [200, 200]
    assert (await _statuses_of_slashes(replace(DIALECT, slash_names_nothing=True))) == [404, 404]


async def _statuses_of_slashes(dialect: Dialect) -> list[int]:
    async with serving(replace(service, dialect=dialect)) as running:
        paths = ("/widget/v2/widgets/", "/widget/v2/widgets/detail/")
        return [(await running.get(path)).status for path in paths]
