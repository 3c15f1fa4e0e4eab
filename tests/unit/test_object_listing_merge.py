"""Replicas of a list end the same, in whatever order, as often and in whatever parts they are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.drivers.object.listing import merge, schema
from pileus.drivers.object.listing.database import Database
from pileus.drivers.object.listing.member import Batch, Child, Item, Life, Own, Range
from pileus.drivers.object.listing.replica import Replica
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import ObjectEntry, Usage

times = st.builds(Timestamp, st.integers(1, 6), st.sampled_from([0, 0, 1]))
whole_times = st.builds(Timestamp, st.integers(0, 6), st.just(0))
names = st.sampled_from(["a", "b", "c/d", "é"])
objects = st.builds(
    ObjectEntry,
    names,
    times,
    times,
    st.integers(0, 3),
    st.sampled_from([None, "e", "f"]),
    st.sampled_from(["t", "u"]),
)
children = st.builds(
    Child,
    names,
    whole_times,
    whole_times,
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 1),
)
lives = st.builds(Life, whole_times, whole_times, whole_times, whole_times, st.integers(0, 1))
items = st.dictionaries(
    st.sampled_from(["x", "y"]), st.builds(Item, whole_times, st.sampled_from(["", "1", "2"])), max_size=2
)
ranges = st.lists(
    st.builds(
        Range,
        st.sampled_from(["s/1", "s/2"]),
        st.sampled_from(["", "b"]),
        st.sampled_from(["", "b", "c"]),
        st.sampled_from(["found", "created", "gone"]),
        whole_times,
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=2,
)


def batches(of_account: bool) -> st.SearchStrategy[Batch]:
    return st.builds(
        Batch,
        st.just("peer"),
        lives,
        items,
        st.just(()) if of_account else ranges,
        st.none(),
        st.integers(0, 5),
        st.just(()) if of_account else st.lists(objects, max_size=6),
        st.lists(children, max_size=6) if of_account else st.just(()),
        st.just(0),
    )


def new(path: str) -> Replica:
    schema_of = schema.ACCOUNT_SCHEMA if "/" not in path else schema.CONTAINER_SCHEMA
    return Replica(Database(":memory:", schema_of), path, 7, journal=True)


def state(replica: Replica) -> dict[str, Any]:
    """All but what is the file's own."""
    connection = replica.database.connection
    info = replica.info()
    assert info is not None
    tables = ("container", "tombstone") if replica.is_account else ("object", "tombstone")
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    return {**rows, "info": info._replace(id="", sequence=0, counted_at=0)}


def check_counts(replica: Replica) -> None:
    connection = replica.database.connection
    head = schema.load(connection)
    assert head is not None
    assert head.tombstones == connection.execute("SELECT count(*) FROM tombstone").fetchone()[0]
    if replica.is_account:
        found = connection.execute(
            "SELECT policy, count(*), sum(objects), sum(bytes_used) FROM container GROUP BY policy"
        ).fetchall()
        assert head.policies == {policy: Usage(*counts) for policy, *counts in found}
        assert head.containers == sum(each[1] for each in found)
        assert (head.objects, head.bytes_used) == (sum(e[2] for e in found), sum(e[3] for e in found))
    else:
        found = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM object").fetchone()
        assert (head.objects, head.bytes_used) == found
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM object UNION ALL SELECT name FROM tombstone")
        ]
        assert len(names) == len(set(names))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_any_order_any_repetition_any_split(data: st.DataObject, of_account: bool) -> None:
    path = "a" if of_account else "a/c"
    news = data.draw(st.lists(batches(of_account), min_size=1, max_size=5))
    straight, crooked, relayed = new(path), new(path), new(path)
    for batch in news:
        straight.merge(batch, make=True)
        check_counts(straight)
    for batch in data.draw(st.permutations([*news, *news])):
        rows = batch.children if of_account else batch.objects
        cut = data.draw(st.integers(0, len(rows)))
        field = "children" if of_account else "objects"
        for part in data.draw(st.permutations([rows[:cut], rows[cut:]])):
            crooked.merge(batch._replace(**{field: part}), make=True)
    check_counts(crooked)
    assert state(crooked) == state(straight)
    # By way of another replica, in pieces: what it tells is enough.
    since = 0
    while True:
        told = crooked.batch(since, 2)
        assert told is not None
        merged = relayed.merge(told, make=True)
        assert merged is not None
        if merged.known == since or told.upto == since:
            break
        since = merged.known
    assert state(relayed) == state(straight)
    everything = straight.batch(-1, 0)
    assert everything is not None
    at_once = new(path)
    at_once.merge(everything, make=True)
    assert state(at_once) == state(straight)


@settings(max_examples=200, deadline=None)
@given(lives, lives, lives)
def test_lives_are_joined_in_any_order(one: Life, two: Life, three: Life) -> None:
    join = merge.join_lives
    assert join(one, two) == join(two, one)
    assert join(join(one, two), three) == join(one, join(two, three))
    assert join(one, one) == one


def test_a_container_made_anew_is_a_new_one() -> None:
    first = merge.put(Life(), Timestamp(5), 1)
    assert (first.exists(0), first.created_at, first.policy) == (True, Timestamp(5), 1)
    again = merge.put(first, Timestamp(8), 2)
    assert (again.created_at, again.policy, again.put_at) == (Timestamp(5), 1, Timestamp(8))
    deleted = again._replace(delete_at=Timestamp(9))
    assert not deleted.exists(0)
    assert deleted.exists(1)
    anew = merge.put(deleted, Timestamp(10), 2)
    assert (anew.created_at, anew.policy) == (Timestamp(10), 2)
    assert merge.join_lives(anew, again) == anew, "who missed the deletion learns of it"


def test_a_shard_learns_what_it_is_part_of() -> None:
    replica = new(".shards_a/1")
    for own in (Own("a/c", "", "m", Timestamp(2)), Own("a/c", "", "k", Timestamp(1))):
        replica.merge(Batch("p", Life(), {}, (), own, 0, (), (), 0), make=True)
    info = replica.info()
    assert info is not None
    assert info.own == Own("a/c", "", "m", Timestamp(2))
