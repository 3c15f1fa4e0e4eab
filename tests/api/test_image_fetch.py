"""Nobody has the cloud read from inside: not at sight, not by name, not by redirect. All traffic is on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers.image.fetch import HttpFetcher
from pileus.lib.address_guard import Guard
from pileus.services.image.driver import AddressRefused, StoreError
from tests.image_cloud import Images, WebServer, image_cloud

INSIDE, ALLOWED = "127.0.0.1", "127.0.0.99"
"""Both are this host; a guard that allows the second alone must never be led to the first."""


@pytest.fixture
async def web(web: WebServer) -> WebServer:
    web.pages = {"/secret": b"secret"}
    return web


@pytest.fixture
async def outside(web: WebServer) -> AsyncIterator[str]:
    """An address that may be fetched from, where another server answers with the same pages."""
    server = await asyncio.start_server(web.answer, ALLOWED, 0)
    async with server:
        yield f"http://{ALLOWED}:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names stand for, one answer for each time that is asked."""
    known: dict[str, list[list[str]]] = {}
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        if host not in known:
            return await real(self, host, port, **more)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return known


def fetcher() -> HttpFetcher:
    return HttpFetcher(Guard.of((80, 443), (f"{ALLOWED}/32",)))


async def read(url: str) -> bytes:
    return b"".join([chunk async for chunk in fetcher().fetch(url)])


async def test_what_is_allowed_is_read(outside: str) -> None:
    assert await read(f"{outside}/secret") == b"secret"


async def test_inside_is_refused_at_sight(web: WebServer) -> None:
    with pytest.raises(AddressRefused):
        await read(f"{web.url}/secret")
    assert web.asked == []


async def test_names_that_point_inside(web: WebServer, names: dict[str, list[list[str]]]) -> None:
    names["innocent.example"] = [[INSIDE]]
    names["both.example"] = [[ALLOWED, INSIDE]]
    for name in names:
        with pytest.raises(AddressRefused, match=name):
            await read(f"http://{name}:{web.port}/secret")
    assert web.asked == []


async def test_the_address_that_was_looked_at_is_the_one_connected_to(
    outside: str, web: WebServer, names: dict[str, list[list[str]]]
) -> None:
    """A name that stands for an allowed address when it is looked at, and for one inside ever after."""
    port = outside.rpartition(":")[2]
    names["fickle.example"] = [[ALLOWED], [INSIDE]]
    assert await read(f"http://fickle.example:{port}/secret") == b"secret"
    assert names["fickle.example"] == [[INSIDE]]  # asked once


@pytest.mark.parametrize("status", ["at sight", "by name"])
async def test_redirects_that_lead_inside(
    outside: str, web: WebServer, names: dict[str, list[list[str]]], status: str
) -> None:
    names["innocent.example"] = [[INSIDE]]
    host = INSIDE if status == "at sight" else "innocent.example"
    web.pages |= {"/hop": f"http://{host}:{web.port}/secret", "/first": "/hop"}
    with pytest.raises(AddressRefused):
        await read(f"{outside}/first")
    assert "/secret" not in web.asked
    web.pages["/file"] = "file:///etc/passwd"
    with pytest.raises(AddressRefused):
        await read(f"{outside}/file")


async def test_redirects_end(outside: str, web: WebServer) -> None:
    web.pages["/round"] = "/round"
    with pytest.raises(StoreError, match="more than"):
        await read(f"{outside}/round")


async def test_through_the_api(tmp_path: Path, web: WebServer, names: dict[str, list[list[str]]]) -> None:
    names["innocent.example"] = [[INSIDE]]
    async with image_cloud(tmp_path, loopback=False) as images:
        await _refused(images, f"{web.url}/secret")
        for url in ("http://169.254.169.254/x", "file:///etc/passwd", "gopher://x/", "http://[::1]/", "x"):
            await _refused(images, url)
        image_id = await images.make()
        method = {"name": "web-download", "uri": "http://innocent.example/secret"}
        assert (await images.import_(image_id, method)).status == 202
        task = await images.task(image_id)
        assert task["status"] == "failure"
        assert "no public address" in task["message"]
        assert (await images.get(f"/images/{image_id}"))["status"] == "queued"
        location = {"url": "http://innocent.example/secret"}
        assert (await images.ask("POST", f"/images/{image_id}/locations", location)).status == 202
        assert (await images.task(image_id))["status"] == "failure"
    assert web.asked == []


async def _refused(images: Images, url: str) -> None:
    image_id = await images.make()
    reply = await images.import_(image_id, {"name": "web-download", "uri": url})
    assert reply.status == 400
    assert "does not pass filtering" in reply.json()["message"]
    added = await images.ask("POST", f"/images/{image_id}/locations", {"url": url})
    assert added.status in (400, 403)
    patched = await images.patch(image_id, {"op": "add", "path": "/locations/-", "value": {"url": url}})
    assert patched.status == 400
    assert (await images.get(f"/images/{image_id}"))["status"] == "queued"
