"""The API layer: fields that several resources share, rendering that reads more, filters of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Column, ColumnElement, Integer, Row, String, Table, bindparam, func, insert, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import Dialect, any_of
from pileus.kernel.api.fields import create, field, filter, read_only
from pileus.kernel.api.links import next_and_previous
from pileus.kernel.api.listing import _statements
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Service
from pileus.kernel.db import Tx, metadata
from pileus.kernel.ids import new_uuid
from pileus.kernel.policy import Rule
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving

shelves = Table(
    "test_declared_shelves",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("height", Integer, nullable=False),
)
books = Table(
    "test_declared_books",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("shelf_id", String(36), nullable=False),
)

DIALECT = Dialect(
    name="shelves",
    envelope=lambda error, request_id: {"error": {"code": error.status, "message": error.message}},
    bulk=True,
    predicates=any_of,
    links=next_and_previous,
    read_only_field=lambda name, method: f"'{name}' is not for {method}",
)


class Owned(Resource):
    """What both kinds share."""

    id: str = field(read_only, filter)
    project_id: str = field(create, filter)
    tenant_id: str = field(create, filter, column="project_id")
    default_sort = (("id", "asc"),)


_HIGHER = shelves.c.height > bindparam("than")


def _higher(call: Call, values: list[str]) -> tuple[ColumnElement[bool], Mapping[str, Any]]:
    return _HIGHER, {"than": int(values[-1])}


class Shelf(Owned, member="shelf", collection="shelves", table=shelves):
    filters = {"higher_than": _higher}

    height: int = field(create, filter, required=True)
    book_count: int = field(render=lambda call, row: call.gathered["books"].get(row.id, 0))

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        counts = select(books.c.shelf_id, func.count().label("n")).group_by(books.c.shelf_id)
        call.gathered["books"] = {row.shelf_id: row.n for row in tx.rows(counts)}


class Book(Owned, member="book", collection="books", table=books):
    shelf_id: str = field(create, filter, required=True)

    @classmethod
    def target_of_new(cls, call: Call, tx: Tx, body: Any) -> dict[str, Any]:
        shelf = Shelf.load(call, tx, body.shelf_id)
        return {**super().target_of_new(call, tx, body), "shelf:project_id": shelf.project_id}


@Shelf.create(policy="shelf", status=201)
def create_shelf(call: Call, tx: Tx, body: Any) -> Any:
    values = {"id": new_uuid(), "project_id": call.project_id, "height": body.height}
    return tx.execute(insert(shelves).returning(*shelves.c), values).one()


@Shelf.update(policy="shelf")
async def update_shelf(call: Call, row: Row[Any], body: Any) -> Row[Any]:
    return row


@Shelf.member_route("PUT", "/dust", policy="shelf", status=202)
def dust(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Has no body."""


@Book.create(policy="book", status=201)
def create_book(call: Call, tx: Tx, body: Any) -> Any:
    values = {"id": new_uuid(), "project_id": call.project_id, "shelf_id": body.shelf_id}
    return tx.execute(insert(books).returning(*books.c), values).one()


for resource in (Shelf, Book):
    resource.show(policy="shelf")
    resource.list(policy="shelf")

service = Service(
    type="library",
    name="library",
    root="/library",
    path="/library/v1",
    dialect=DIALECT,
    resources=[Shelf, Book],
    rules=[
        Rule("shelf", "role:reader and project_id:%(project_id)s or role:admin"),
        Rule("book", "project_id:%(shelf:project_id)s"),
    ],
)
BASE = "/library/v1"


@pytest.fixture
async def cloud() -> AsyncIterator[ServiceUnderTest]:
    async with serving(service) as running:
        yield running


async def test_shared_fields_are_each_resources_own(cloud: ServiceUnderTest) -> None:
    assert set(Shelf.fields) == {"id", "project_id", "tenant_id", "height", "book_count"}
    assert Shelf.fields["id"] is not Book.fields["id"]
    shelf = (await cloud.post(f"{BASE}/shelves", {"shelf": {"height": 3}})).json()["shelf"]
    assert shelf["tenant_id"] == shelf["project_id"] == MEMBER.project_id


async def test_rendering_reads_more_for_one_for_many_and_after_an_async_handler(
    cloud: ServiceUnderTest,
) -> None:
    made = (await cloud.post(f"{BASE}/shelves", {"shelves": [{"height": 1}, {"height": 2}]})).json()[
        "shelves"
    ]
    assert [each["book_count"] for each in made] == [0, 0]
    wrapped = {"shelves": [{"shelf": {"height": 3}}, {"height": 4}]}
    assert len((await cloud.post(f"{BASE}/shelves", wrapped)).json()["shelves"]) == 2
    for wrong in ({"shelves": 1}, {"shelves": [1]}, {"shelves": [{"shelf": 1}]}, {"shelves": [{}]}):
        assert (await cloud.post(f"{BASE}/shelves", wrong)).status == 400
    await cloud.post(f"{BASE}/books", {"book": {"shelf_id": made[0]["id"]}})
    path = f"{BASE}/shelves/{made[0]['id']}"
    assert (await cloud.get(path)).json()["shelf"]["book_count"] == 1
    assert (await cloud.put(path, {"shelf": {}})).json()["shelf"]["book_count"] == 1
    listed = (await cloud.get(f"{BASE}/shelves?fields=book_count")).json()["shelves"]
    assert sorted(each["book_count"] for each in listed) == [0, 0, 0, 1]
    assert all(set(each) == {"book_count"} for each in listed)


async def test_policy_of_what_is_made_sees_what_it_is_made_on(cloud: ServiceUnderTest) -> None:
    shelf = (await cloud.post(f"{BASE}/shelves", {"shelf": {"height": 3}})).json()["shelf"]
    body = {"book": {"shelf_id": shelf["id"]}}
    assert (await cloud.post(f"{BASE}/books", body)).status == 201
    assert (
        await cloud.post(f"{BASE}/books", body, as_=persona("project", "member", project_id="x"))
    ).status == 404
    assert (
        await cloud.post(f"{BASE}/books", body, as_=persona("project", "admin", project_id="x"))
    ).status == 403


async def test_a_filter_whose_clause_stays_the_same_keeps_the_statement(cloud: ServiceUnderTest) -> None:
    for height in (1, 5, 9):
        await cloud.post(f"{BASE}/shelves", {"shelf": {"height": height}})
    assert len((await cloud.get(f"{BASE}/shelves?higher_than=4")).json()["shelves"]) == 2
    known = len(_statements)
    assert len((await cloud.get(f"{BASE}/shelves?higher_than=8")).json()["shelves"]) == 1
    assert len(_statements) == known


async def test_what_is_only_shown_is_named_as_such(cloud: ServiceUnderTest) -> None:
    reply = await cloud.post(f"{BASE}/shelves", {"shelf": {"height": 3, "book_count": 7}})
    assert "'book_count' is not for POST" in reply.json()["error"]["message"]
    reply = await cloud.post(f"{BASE}/shelves", {"shelf": {"height": 3, "colour": "red"}})
    assert "colour" in reply.json()["error"]["message"]
    shelf = (await cloud.post(f"{BASE}/shelves", {"shelf": {"height": 3}}, as_=ADMIN)).json()["shelf"]
    assert (await cloud.put(f"{BASE}/shelves/{shelf['id']}/dust")).status == 202
