"""Lists of a disk against a list in memory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pileus.drivers.object.listing.database import Database
from pileus.drivers.object.listing.schema import CONTAINER_SCHEMA
from pileus.drivers.object.listing.select import OBJECTS, after, rows, whole
from pileus.drivers.object.listing.store import SqliteListings
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import Ask, NoSuchContainer, NotEmpty, ObjectEntry
from pileus.testing.cost import least_seconds
from tests.object_list_model import asks, letters, model

NOW = Timestamp.at(1_700_000_000.5)


def entry(name: str, size: int = 3, etag: str | None = "e", later: int = 0) -> ObjectEntry:
    at = Timestamp(NOW.units + later)
    return ObjectEntry(name, at, at, size, etag, "text/plain")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sets(letters, max_size=25), asks)
@example(names={"/", "/a"}, ask=Ask(limit=1, path="", reverse=True))
def test_any_part_of_any_list(names: set[str], ask: Ask) -> None:
    database = Database(Path(":memory:"), CONTAINER_SCHEMA)
    database.connection.executemany(
        "INSERT INTO object VALUES (?, 0, 0, 0, 0, 0, 'e', 't')", [(name,) for name in names]
    )
    found = [row.name if hasattr(row, "name") else row[0] for row in rows(database.connection, OBJECTS, ask)]
    assert found == model(names, ask)
    if not ask.delimiter and ask.path is None:
        plain, count, last = whole(database.connection, OBJECTS, ask, "plain")
        assert plain.decode() == "".join(name + "\n" for name in found)
        assert (count, last) == (len(found), found[-1] if found else "")
        items = json.loads(b"[" + whole(database.connection, OBJECTS, ask, "json")[0] + b"]")
        assert [item["name"] for item in items] == found
        tree = ElementTree.fromstring(b"<x>" + whole(database.connection, OBJECTS, ask, "xml")[0] + b"</x>")
        assert [each.findtext("name") for each in tree] == found
    database.close()


def test_the_name_after_all_with_a_prefix() -> None:
    assert after("a") == "b"
    assert after("a\U0010ffff") == "b"
    assert after("\U0010ffff") == ""
    assert after("\ud7ff") == "\ue000"


async def test_containers_and_their_counts(tmp_path: Path) -> None:
    listings = SqliteListings(tmp_path)
    assert await listings.container("a", "c") is None
    assert await listings.list_objects("a", "c", Ask(), "json") is None
    with pytest.raises(NoSuchContainer):
        await listings.set_container("a", "c", NOW, dict, make=False)
    assert await listings.set_container("a", "c", NOW, lambda old: {**old, "x": "1"}, make=True)
    assert not await listings.set_container("a", "c", NOW, lambda old: {**old, "y": "2"}, make=True)
    for n in range(5):
        listings.note("a", "c", entry(f"o{n}", size=10))
    listings.note("a", "c", entry("o4", size=7, later=1))
    listings.note("a", "c", entry("o3", etag=None, later=1))
    listings.note("a", "c", entry("never", etag=None))
    listings.note("a", "nowhere", entry("o"))
    info = await listings.container("a", "c")
    assert info is not None
    assert (info.metadata, info.objects, info.bytes_used) == ({"x": "1", "y": "2"}, 4, 37)
    account = await listings.account("a")
    assert account is not None
    assert account[2:] == (1, 4, 37, {0: (1, 4, 37)})
    with pytest.raises(NotEmpty):
        await listings.delete_container("a", "c")
    await listings.close()
    listings = SqliteListings(tmp_path)
    listed: list[dict[str, Any]] = json.loads(await listings.list_objects("a", "c", Ask(), "json") or b"")
    assert [item["name"] for item in listed] == ["o0", "o1", "o2", "o4"]
    assert listed[0] == {
        "name": "o0",
        "hash": "e",
        "bytes": 10,
        "content_type": "text/plain",
        "last_modified": "2023-11-14T22:13:20.500000",
    }
    assert json.loads(await listings.list_objects("a", "c", Ask(delimiter="1"), "json") or b"")[1] == {
        "subdir": "o1"
    }
    tree = ElementTree.fromstring(await listings.list_objects("a", "c", Ask(delimiter="1"), "xml") or b"")
    assert [(each.tag, each.findtext("name")) for each in tree][:2] == [("object", "o0"), ("subdir", "o1")]
    assert json.loads(await listings.list_containers("a", Ask(), "json") or b"") == [
        {"name": "c", "count": 4, "bytes": 37, "last_modified": "2023-11-14T22:13:20.500000"}
    ]
    for n in range(5):
        listings.note("a", "c", entry(f"o{n}", etag=None, later=2))
    await listings.delete_container("a", "c")
    assert await listings.container("a", "c") is None
    assert await listings.list_containers("a", Ask(), "plain") == b""
    assert await listings.delete_account("a")
    assert await listings.account("a") is None
    await listings.close()


@pytest.mark.slow
async def test_many_containers_share_few_open_files(tmp_path: Path) -> None:
    listings = SqliteListings(tmp_path)
    await asyncio.gather(*(listings.set_container("a", f"c{n}", NOW, dict, make=True) for n in range(90)))
    for n in range(90):
        listings.note("a", f"c{n}", entry("o"))
    infos = await asyncio.gather(*(listings.container("a", f"c{n}") for n in range(90)))
    assert all(info is not None and info.objects == 1 for info in infos)
    account = await listings.account("a")
    assert account is not None
    assert account[2:] == (90, 90, 270, {0: (90, 90, 270)})
    await listings.close()


@pytest.mark.slow
def test_ten_thousand_of_many(tmp_path: Path) -> None:
    """A full page costs what it costs, however much there is besides."""

    def filled(name: str, numbers: range) -> Database:
        database = Database(tmp_path / name, CONTAINER_SCHEMA)
        with database.writing(durable=False) as connection:
            connection.executemany(
                "INSERT INTO object VALUES (?, ?, 0, ?, 0, ?, ?, 'application/octet-stream')",
                (
                    (f"folder-{n // 1000:05}/object-{n:09}", NOW.units + n, NOW.units + n, n, f"{n:032x}")
                    for n in numbers
                ),
            )
        return database

    page, much = filled("page.db", range(100_000, 110_000)), filled("much.db", range(200_000))
    ask = Ask(marker="folder-00100/")
    for form in ("json", "xml", "plain"):
        assert whole(much.connection, OBJECTS, ask, form)[0].count(b"object-") == 10_000
        alone = least_seconds(lambda form=form: whole(page.connection, OBJECTS, ask, form))  # type: ignore[misc]
        among = least_seconds(lambda form=form: whole(much.connection, OBJECTS, ask, form))  # type: ignore[misc]
        assert among < 4 * alone
    page.close()
    much.close()
