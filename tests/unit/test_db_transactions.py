"""What both databases promise to functions of a transaction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    delete,
    exc,
    func,
    insert,
    select,
    text,
    update,
)

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import (
    Database,
    DatabaseGone,
    Duplicate,
    InUse,
    Json,
    Timestamp,
    Tx,
    metadata,
    open_database,
)
from pileus.kernel.db.types import EPOCH, to_microseconds
from pileus.kernel.errors import Bug
from pileus.testing.database import fresh_schema
from pileus.testing.waiting import until

shelves = Table("test_db_shelves", metadata, Column("id", Integer, primary_key=True))
pages = Table("test_pages", metadata, Column("number", Integer, nullable=False))
books = Table(
    "test_books",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String(50), unique=True),
    Column("shelf_id", ForeignKey("test_db_shelves.id")),
    Column("printed_at", Timestamp),
    Column("facts", Json),
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url, SystemClock())
    fresh_schema(db)
    yield db
    await db.close()


def put(tx: Tx, /, title: str, **more: Any) -> int:
    number: int = tx.scalar(insert(books).values(title=title, **more).returning(books.c.id))
    return number


def titles(tx: Tx) -> list[str]:
    return sorted(tx.scalars(select(books.c.title)))


async def test_a_write_is_there_for_all_once_it_is_answered(db: Database) -> None:
    number = await db.write(put, "Emma")
    assert await db.read(lambda tx: tx.scalar(select(books.c.title).where(books.c.id == number))) == "Emma"


async def test_a_function_that_raises_leaves_nothing_and_its_own_error(db: Database) -> None:
    def half(tx: Tx) -> None:
        put(tx, "Emma")
        raise LookupError("no ink")

    with pytest.raises(LookupError, match="no ink"):
        await db.write(half)
    assert await db.read(titles) == []


async def test_functions_that_fail_take_nothing_from_those_beside_them(db: Database) -> None:
    def maybe(tx: Tx, number: int) -> None:
        put(tx, str(number))
        if number % 3 == 0:
            raise LookupError(number)

    answers = await asyncio.gather(*(db.write(maybe, n) for n in range(60)), return_exceptions=True)
    assert [isinstance(answer, LookupError) for answer in answers] == [n % 3 == 0 for n in range(60)]
    assert await db.read(titles) == sorted(str(n) for n in range(60) if n % 3)


async def test_a_constraint_in_one_takes_nothing_from_those_beside_it(db: Database) -> None:
    answers = await asyncio.gather(*(db.write(put, str(n % 10)) for n in range(40)), return_exceptions=True)
    assert sum(isinstance(answer, Duplicate) for answer in answers) == 30
    assert await db.read(titles) == sorted(str(n) for n in range(10))


async def test_integrity_in_our_words(db: Database) -> None:
    await db.write(put, "Emma")
    with pytest.raises(Duplicate):
        await db.write(put, "Emma")
    with pytest.raises(InUse):
        await db.write(put, "Ulysses", shelf_id=7)

    def shelve(tx: Tx) -> None:
        tx.execute(insert(shelves).values(id=1))
        put(tx, "Walden", shelf_id=1)

    await db.write(shelve)
    with pytest.raises(InUse):
        await db.write(lambda tx: tx.execute(delete(shelves)))
    with pytest.raises(exc.DBAPIError):
        await db.write(lambda tx: tx.execute(text("INSERT INTO no_such_table VALUES (1)")))


async def test_a_savepoint_undoes_what_failed_and_the_rest_is_kept(db: Database) -> None:
    heard: list[str] = []

    def put_both(tx: Tx) -> None:
        put(tx, "Emma")
        with contextlib.suppress(Duplicate), tx.savepoint():
            put(tx, "Ulysses")
            tx.after_commit(lambda: heard.append("never"))
            put(tx, "Emma")
        with tx.savepoint():
            put(tx, "Walden")
            tx.after_commit(lambda: heard.append("Walden"))

    await db.write(put_both)
    assert await db.read(titles) == ["Emma", "Walden"]
    assert heard == ["Walden"]


async def test_going_on_after_a_failed_statement_is_refused(db: Database) -> None:
    def swallow(tx: Tx) -> None:
        put(tx, "Emma")
        with contextlib.suppress(Duplicate):
            put(tx, "Emma")

    def swallow_and_go_on(tx: Tx) -> None:
        swallow(tx)
        put(tx, "Walden")

    for function in (swallow, swallow_and_go_on):
        with pytest.raises(Bug, match="savepoint"):
            await db.write(function)
    assert await db.read(titles) == []


async def test_a_constraint_that_only_a_bug_can_break(db: Database) -> None:
    with pytest.raises(exc.IntegrityError):
        await asyncio.wait_for(db.write(lambda tx: tx.execute(insert(pages).values(number=None))), 10)


async def test_increments_are_never_lost(db: Database) -> None:
    await db.write(put, "Emma", facts={"read": 0})

    def read_again(tx: Tx) -> None:
        facts = tx.scalar(select(books.c.facts))
        tx.execute(update(books).values(facts={"read": facts["read"] + 1}))

    await asyncio.gather(*(db.write(read_again) for _ in range(50)))
    assert await db.read(lambda tx: tx.scalar(select(books.c.facts))) == {"read": 50}


async def test_a_read_sees_one_moment(db: Database) -> None:
    loop = asyncio.get_running_loop()
    counted, go = asyncio.Event(), threading.Event()

    def count_twice(tx: Tx) -> tuple[int, int]:
        first = len(titles(tx))
        loop.call_soon_threadsafe(counted.set)
        assert go.wait(10)
        return first, len(titles(tx))

    reading = asyncio.create_task(db.scan(count_twice))
    await counted.wait()
    await db.write(put, "Emma")
    go.set()
    assert await reading == (0, 0)


async def test_a_read_keeps_nothing(db: Database) -> None:
    answer = (await asyncio.gather(db.read(put, "Emma"), return_exceptions=True))[0]
    assert not isinstance(answer, DatabaseGone)
    assert await db.read(titles) == []


async def test_after_commit_runs_on_the_loop_and_only_after_a_commit(db: Database) -> None:
    heard: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()

    def tell(tx: Tx, word: str, fails: bool) -> None:
        tx.after_commit(lambda: heard.append((word, threading.get_ident() == loop_thread)))
        if fails:
            raise LookupError

    await db.write(tell, "kept", False)
    with pytest.raises(LookupError):
        await db.write(tell, "lost", True)
    assert heard == [("kept", True)]


async def test_a_hint_that_raises_takes_nobodys_answer(db: Database) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    def trip(tx: Tx) -> str:
        tx.after_commit(lambda: 1 // 0)
        put(tx, "Emma")
        return "put"

    both = await asyncio.wait_for(asyncio.gather(db.write(trip), db.write(put, "Ulysses")), 10)
    assert both[0] == "put"
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_time_stands_still_in_a_transaction(db: Database) -> None:
    def twice(tx: Tx) -> tuple[datetime, datetime]:
        return tx.now, tx.now

    first, second = await db.write(twice)
    assert first == second
    assert first.tzinfo is not None


async def test_busy_while_something_is_under_way(db: Database) -> None:
    async def at_rest() -> bool:
        return not db.busy

    go = threading.Event()
    writing = asyncio.create_task(db.write(lambda tx: go.wait(10)))
    await asyncio.sleep(0)
    assert db.busy
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert db.busy, "the caller has gone, the transaction goes on"
    go.set()
    await until(at_rest, 10)


async def test_close_finishes_what_was_asked_and_refuses_the_rest(db: Database, database_url: str) -> None:
    asked = [asyncio.create_task(db.write(put, str(n))) for n in range(30)]
    await asyncio.sleep(0)
    await db.close()
    await asyncio.gather(*asked)
    for more in (db.write(put, "late"), db.read(titles)):
        with pytest.raises(DatabaseGone, match="closed"):
            await more
    await db.close()  # again: no harm
    reopened = open_database(database_url, SystemClock())
    assert len(await reopened.read(titles)) == 30
    await reopened.close()


async def test_a_failed_script_leaves_the_database_usable(db: Database) -> None:
    with pytest.raises(Exception, match="nonsense"):
        db.run_script("INSERT INTO test_db_shelves VALUES (1); nonsense;")
    assert await db.read(lambda tx: tx.scalar(select(func.count()).select_from(shelves))) == 0
    await db.write(put, "Emma")


async def test_times_and_json_come_back_as_they_went(db: Database) -> None:
    moment = datetime(2031, 2, 3, 4, 5, 6, 789012, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    facts = {"é": [1, 2.5, None, True, {"deep": "\u2028"}], "big": 2**53}
    await db.write(put, "Emma", printed_at=moment, facts=facts)
    await db.write(put, "Ulysses")
    rows = await db.read(lambda tx: tx.rows(select(books).order_by(books.c.id)))
    assert rows[0].printed_at == moment
    assert rows[0].printed_at.tzinfo == UTC
    assert rows[0].facts == facts
    assert (rows[1].printed_at, rows[1].facts) == (None, None)
    earlier = moment - timedelta(microseconds=1)
    found = await db.read(lambda tx: tx.scalars(select(books.c.title).where(books.c.printed_at > earlier)))
    assert found == ["Emma"]


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_survives_to_the_microsecond(moment: datetime) -> None:
    assert EPOCH + timedelta(microseconds=to_microseconds(moment)) == moment


async def test_like_minds_the_case(db: Database) -> None:
    await db.write(put, "Emma")
    assert await db.read(lambda tx: tx.scalars(select(books.c.title).where(books.c.title.like("e%")))) == []


def test_an_address_of_neither_kind() -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        open_database("mysql://localhost/x", SystemClock())
