"""Where objects are: endpoints of storage nodes, and hosts that DNS leads here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pileus.drivers.object.dns import DnsResolver
from pileus.drivers.object.node.rings import Rings
from pileus.kernel.config import ConfigError
from pileus.lib.ring import Builder, encode
from pileus.services.object_store.cnames import Cnames
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.object_store_client import NOBODY, OWNER, Store, running

HELPER = Path(__file__).parents[1] / "unit/swift_rings.py"

# Endpoints.


@pytest.fixture
def rings(tmp_path: Path) -> Path:
    """A folder, as Swift's nodes have it."""
    for number, name in enumerate(("container", "account", "object")):
        builder = Builder(6, 3, 0)
        for zone in range(5):
            builder.add(zone=zone, ip=f"10.0.0.{zone + 1}", port=6200 + number, device=f"sd{zone}", weight=1)
        builder.rebalance(number, 0)
        (tmp_path / f"{name}.ring.gz").write_bytes(encode(builder.ring()))
    (tmp_path / "account.ring.gz").write_bytes((tmp_path / "container.ring.gz").read_bytes())
    return tmp_path


def swifts(folder: Path, paths: list[str]) -> list[tuple[int, Any]]:
    """Upstream's own answers, of the same rings, in a process of its own."""
    said = subprocess.run(
        [sys.executable, HELPER, "endpoints", folder],
        input="\n".join(quote(path) for path in paths),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(status, body) for status, body in map(json.loads, said.stdout.splitlines())]


@pytest.mark.slow
async def test_endpoints_are_swifts(rings: Path, tmp_path: Path) -> None:
    names = ("AUTH_a", "AUTH_a/c", "AUTH_a/c/o", "AUTH_a/ä b/x/y ü")
    paths = [f"/endpoints/{version}{name}" for name in names for version in ("", "v1/", "v2/", "1/", "v2.0/")]
    wrong = ["/endpoints/v3/AUTH_a", "/endpoints/v2/", "/endpoints/vx/a"]
    expected = swifts(rings, [*paths, *wrong])
    assert [status for status, _ in expected] == [200] * len(paths) + [400] * len(wrong)
    (rings / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = changeme\nswift_hash_path_suffix = too\n"
    )
    found = Rings(rings)
    async with running(tmp_path / "store", Settings(list_endpoints=True)) as store:
        store.state.rings = lambda: found
        for path, answer in zip([*paths, *wrong], expected, strict=True):
            got = await store("GET", "", at=path, as_=NOBODY)
            assert (got.status, json.loads(got.body) if got.status == 200 else None) == answer, path
        assert (await store("POST", "", at="/endpoints/AUTH_a")).status == 405


async def test_endpoints_are_told_only_where_the_operator_says_so(tmp_path: Path, rings: Path) -> None:
    async with running(tmp_path / "store") as store:
        assert (await store("GET", "", at="/endpoints/AUTH_a")).status == 404
        store.state.rings = lambda: Rings(rings)
        assert (await store("GET", "", at="/endpoints/AUTH_a")).status == 404


# Hosts.


class Zone:
    """DNS without a network."""

    def __init__(self) -> None:
        self.names = {
            "photos.example.net": "C.auth-p1.objects.test.",
            "far.example.net": "photos.example.net",
            "round.example.net": "round.example.net",
            "elsewhere.example.net": "www.example.com",
        }
        self.asked: list[str] = []
        self.is_down = False

    async def cname(self, host: str) -> tuple[str | None, float]:
        self.asked.append(host)
        if self.is_down:
            raise OSError("nobody answers")
        return self.names.get(host), 300.0


@pytest.fixture
async def zone() -> Zone:
    return Zone()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, zone: Zone, clock: FakeClock) -> AsyncIterator[Store]:
    settings = Settings(storage_domains=("objects.test",), cname_lookup_depth=2)
    async with running(tmp_path, settings, clock) as store:
        store.state.cnames = Cnames(zone, clock, settings)
        assert (await store("PUT", "/c", x_container_read=".r:*")).status == 201
        assert (await store("PUT", "/c/o", b"body")).status == 201
        zone.asked.clear()
        yield store


async def get(store: Store, host: str, path: str = "/o") -> int:
    return (await store("GET", "", at=path, as_=OWNER, host=host)).status


async def test_a_host_of_ones_own(store: Store, zone: Zone, clock: FakeClock) -> None:
    assert (await store("GET", "", at="/o", as_=NOBODY, host="photos.example.net:8900")).body == b"body"
    assert await get(store, "PHOTOS.example.net") == 200
    assert zone.asked == ["photos.example.net"], "an answer is good for as long as it says"
    await clock.advance(301)
    assert await get(store, "photos.example.net") == 200
    assert zone.asked == ["photos.example.net"] * 2
    assert await get(store, "far.example.net") == 200
    assert (await store("PUT", "", b"new", at="/n", host="photos.example.net")).status == 201
    assert (await store("GET", "/c/n")).body == b"new"
    info = json.loads((await store("GET", "", at="/info")).body)
    assert info["cname_lookup"] == {"lookup_depth": 2}


async def test_a_host_that_leads_nowhere_is_the_cloud(store: Store, zone: Zone) -> None:
    for host in ("nothing.example.net", "round.example.net", "elsewhere.example.net"):
        assert await get(store, host) == 404
        assert await get(store, host, "/v1/AUTH_p1/c/o") == 200
    asked = len(zone.asked)
    assert await get(store, "nothing.example.net") == 404
    assert len(zone.asked) == asked, "that, too, is remembered"
    for own in ("127.0.0.1:8900", "[::1]:8900", "localhost", "c.auth-p1.objects.test", ""):
        await get(store, own)
    assert len(zone.asked) == asked, "DNS is not asked for these"


async def test_where_dns_does_not_answer_nothing_is_remembered(store: Store, zone: Zone) -> None:
    zone.is_down = True
    assert await get(store, "photos.example.net") == 404
    zone.is_down = False
    assert await get(store, "photos.example.net") == 200


@pytest.mark.parametrize("wrong", ["ns.example.net", "192.0.2.1:dns", "[::1]:x", ""])
def test_nameservers_are_addresses(wrong: str) -> None:
    with pytest.raises(ConfigError, match="cname_lookup_nameservers"):
        DnsResolver([wrong])


async def test_a_nameserver_is_asked() -> None:
    """One on this host, by UDP: what it says of a host, and how long that is good."""
    import asyncio

    import dns.message
    import dns.rrset

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            asked = dns.message.from_wire(data)
            answer = dns.message.make_response(asked)
            if asked.question[0].name.to_text() == "photos.example.net.":
                answer.answer.append(
                    dns.rrset.from_text("photos.example.net.", 77, "IN", "CNAME", "c.auth-p1.objects.test.")
                )
            self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]  # it is of datagrams

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Server, local_addr=("127.0.0.1", 0)
    )
    try:
        resolver = DnsResolver([f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"])
        assert await resolver.cname("photos.example.net") == ("c.auth-p1.objects.test", 77.0)
        assert (await resolver.cname("nothing.example.net"))[0] is None
        with pytest.raises(OSError, match="label"):
            await resolver.cname("x" * 70 + ".example.net")
    finally:
        transport.close()
