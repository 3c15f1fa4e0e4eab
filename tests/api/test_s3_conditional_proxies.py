"""Writes on a condition through several proxies: of all at once, one is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pileus.drivers.object.cluster.claiming import Claiming
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.cluster.peer import AGREED_SECONDS
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import turns
from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.testing.clock import FakeClock
from tests.object_proxies import KEY, proxies
from tests.s3_client import Rig, code

pytestmark = pytest.mark.slow
Cluster = tuple[dict[str, StorageNode], list[Rig]]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with proxies(tmp_path, 2) as made:
        assert (await made[1][0]("PUT", "/pile")).status == 200
        yield made


async def test_one_of_two_proxies_makes_it(cluster: Cluster) -> None:
    _, rigs = cluster
    for turn in range(5):
        answers = await asyncio.gather(
            *(rigs[n % 2]("PUT", f"/pile/{turn}", b"%d" % n, if_none_match="*") for n in range(10)),
            *(rigs[n % 2].swift("PUT", f"/pile/{turn}", b"%d" % n, if_none_match="*") for n in range(10)),
        )
        done = [n for n, each in enumerate(answers) if each.status in (200, 201)]
        assert len(done) == 1, Counter(each.status for each in answers)
        assert {each.status for each in answers} <= {200, 201, 412}
        for rig in rigs:
            assert (await rig("GET", f"/pile/{turn}")).body == b"%d" % (done[0] % 10)


async def test_nothing_that_was_counted_is_lost(cluster: Cluster) -> None:
    """A counter that two proxies' clients raise: each success counts once."""
    _, rigs = cluster
    assert (await rigs[0]("PUT", "/pile/count", b"0")).status == 200
    raised = 0

    async def client(rig: Rig) -> None:
        nonlocal raised
        for _ in range(8):
            there = await rig("GET", "/pile/count")
            number = b"%d" % (int(there.body) + 1)
            answer = await rig("PUT", "/pile/count", number, if_match=there.headers["etag"])
            assert answer.status in (200, 409, 412, 503), answer.body
            raised += answer.status == 200

    await asyncio.gather(*(client(rigs[n % 2]) for n in range(6)))
    assert raised >= 8
    assert int((await rigs[1]("GET", "/pile/count")).body) == raised


async def test_who_dies_in_its_turn_keeps_nobody_for_long(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.3)
    _, (one, other) = cluster
    gone = asyncio.Event()

    async def write_for_ever(*_: object) -> None:
        gone.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(one.state.devices[0], "put", write_for_ever)
        dying = asyncio.create_task(one("PUT", "/pile/o", b"dead", if_none_match="*"))
        await gone.wait()
        dying.cancel()
    monkeypatch.undo()  # those that follow have all the time that they need
    assert (await other("PUT", "/pile/o", b"alive", if_none_match="*")).status == 200
    assert (await one("PUT", "/pile/o", b"late", if_none_match="*")).status == 412
    assert (await one("GET", "/pile/o")).body == b"alive"


async def test_who_loses_its_turn_is_not_told_that_all_is_well(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept through it; another has had the next one."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    _, (one, other) = cluster
    asleep, awake = asyncio.Event(), asyncio.Event()
    put = one.state.devices[0].put

    async def sleep_and_put(*given: object) -> None:
        asleep.set()
        await awake.wait()
        await put(*given)  # type: ignore[arg-type]  # as they were given

    with monkeypatch.context() as patch:
        patch.setattr(one.state.devices[0], "put", sleep_and_put)
        sleeper = asyncio.create_task(one("PUT", "/pile/o", b"slept", if_none_match="*"))
        await asleep.wait()
        monkeypatch.undo()  # the other has all the time that it needs
        assert (await other("PUT", "/pile/o", b"awake", if_none_match="*")).status == 200
        awake.set()
        answer = await sleeper
    assert answer.status in (409, 503)
    assert code(answer) in ("ConditionalRequestConflict", "SlowDown")
    for rig in (one, other):
        assert (await rig("GET", "/pile/o")).body == b"awake", "what came too late undoes nothing"


async def test_a_node_that_is_away_keeps_nobody(cluster: Cluster) -> None:
    nodes, rigs = cluster
    await nodes.popitem()[1].close()
    answers = await asyncio.gather(
        *(rigs[n % 2]("PUT", "/pile/o", b"%d" % n, if_none_match="*") for n in range(6))
    )
    assert Counter(each.status for each in answers) == {200: 1, 412: 5}


async def test_nodes_that_have_just_started_do_not_say_whose_turn_it_is(cluster: Cluster) -> None:
    """They may have forgotten whose it was: most of those that go on decide, and without them nobody does."""
    nodes, rigs = cluster
    async with AsyncExitStack() as undo:

        async def start_again(host: str) -> None:
            old = nodes[host]
            await old.close()
            new = StorageNode(old.devices, old.follower.rings, KEY, host, old._port, SystemClock())
            await new.start()
            undo.push_async_callback(new.close)

        one, other, _ = nodes
        await start_again(one)
        assert (await rigs[0]("PUT", "/pile/one", b"x", if_none_match="*")).status == 200
        await start_again(other)
        answer = await rigs[1]("PUT", "/pile/two", b"x", if_none_match="*")
        assert answer.status == 503, "stock clients ask again"
        assert (await rigs[1]("GET", "/pile/two")).status == 404
        assert (await rigs[0]("PUT", "/pile/two", b"x")).status == 200, "without a condition nobody is asked"


async def test_what_was_seen_too_long_ago_is_not_written_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked for longer than its turn was: another may have written since."""
    monkeypatch.setattr(turns, "TURN_SECONDS", -1.0)
    _, (one, other) = cluster
    answer = await one("PUT", "/pile/o", b"late", if_none_match="*")
    assert (answer.status, code(answer)) == (409, "ConditionalRequestConflict")
    assert (await other("GET", "/pile/o")).status == 404


class Ring:
    """Devices in memory, as several proxies see them."""

    def __init__(self, devices: int) -> None:
        self.clock = FakeClock()
        self.engines = {
            n: ObjectEngine(MemoryFiles(), suffix_power=12, clock=self.clock) for n in range(devices)
        }

    def proxy(self, count: int, replicas: int = 3) -> ObjectCluster:
        return ObjectCluster(local_ring(count, replicas), self.engines, SystemClock())


PATH = bytes(16)


async def test_a_claim_that_devices_have_forgotten_is_not_confirmed() -> None:
    ring = Ring(3)
    one = ring.proxy(3)
    for restarted, confirmed in ((1, True), (2, False)):
        assert await one.claim(PATH, b"one", Timestamp(5), 60)
        for number in range(restarted):
            await ring.engines[number].release(PATH, b"one")
        assert await one.release(PATH, b"one") is confirmed


async def test_what_is_granted_late_does_not_confirm() -> None:
    """A device that said no, or nothing, when it counted, may say yes when it is asked again."""
    ring = Ring(3)
    one = ring.proxy(3)
    await ring.engines[0].claim(PATH, b"other", Timestamp(4), 60)
    assert await one.claim(PATH, b"one", Timestamp(5), 60)
    await ring.engines[0].release(PATH, b"other")
    await ring.engines[0].claim(PATH, b"one", Timestamp(5), 60)
    await ring.engines[1].release(PATH, b"one")
    assert not await one.release(PATH, b"one")


async def test_two_rings_at_once_share_who_decides() -> None:
    """One proxy knows of a new ring, the other does not yet."""
    ring = Ring(6)
    old, new = ring.proxy(3), ring.proxy(3)
    keys = [bytes([n]) + bytes(15) for n in range(0, 256, 8)]
    await new.change(local_ring(6, 3), ring.engines)
    for key in keys:
        assert await old.claim(key, b"old", Timestamp(5), 60)
        assert not await new.claim(key, b"new", Timestamp(6), 60)
        assert await old.release(key, b"old")
        assert await new.claim(key, b"new", Timestamp(6), 60)
        assert not await old.claim(key, b"old", Timestamp(7), 60)
        assert await new.release(key, b"new")


def voters(count: int, replicas: int) -> Callable[[], int]:
    ring = Ring(count)
    clock = FakeClock()
    cluster = ObjectCluster(local_ring(count, replicas), ring.engines, clock)
    assert isinstance(cluster._claiming, Claiming)
    return lambda: len(cluster.placement.voters(PATH)[0])


@pytest.mark.parametrize(
    ("count", "replicas", "many"), [(1, 1, 1), (2, 2, 2), (3, 2, 3), (5, 3, 3), (6, 4, 5)]
)
async def test_an_odd_number_decides_where_there_are_enough(count: int, replicas: int, many: int) -> None:
    assert voters(count, replicas)() == many


async def test_the_ring_before_counts_for_a_while() -> None:
    ring = Ring(4)
    cluster = ObjectCluster(local_ring(3, 3), ring.engines, ring.clock)
    assert len(cluster.placement.voters(PATH)) == 1
    await cluster.change(local_ring(4, 3), ring.engines)
    assert len(cluster.placement.voters(PATH)) == 2
    await ring.clock.advance(AGREED_SECONDS)
    assert len(cluster.placement.voters(PATH)) == 1


async def test_too_few_devices_are_an_error_and_an_older_claim_too() -> None:
    ring = Ring(3)
    one = ring.proxy(3)
    for engine in ring.engines.values():
        await engine.claim(PATH, b"dead", Timestamp(9), 1)
    await ring.clock.advance(2)
    with pytest.raises(Superseded):
        await one.claim(PATH, b"one", Timestamp(9), 60)
    assert await one.claim(PATH, b"one", Timestamp(10), 60)

    async def away(*_: object) -> bool:
        raise DeviceError("away")

    for number in range(2):
        ring.engines[number].claim = away  # type: ignore[method-assign]  # a device that fails
    with pytest.raises(DeviceError, match="too few"):
        await one.claim(b"x" * 16, b"one", Timestamp(10), 60)
