"""Connections of the HTTP server from their first moment to their last: resets, stalls, leftovers, an end in between."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pileus.kernel.http import sending
from pileus.kernel.http.exchange import Disconnected
from pileus.kernel.http.head import MAX_HEAD_BYTES
from pileus.testing.waiting import until

from ..http_rig import MIB, Client, Echo, answer, on_both_loops, serving

pytestmark = pytest.mark.timeout(20)


def reset(client: Client) -> None:
    """Ends it as a client does that crashes: without a word."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


@on_both_loops
async def test_a_connection_that_is_reset_before_it_is_looked_at_is_none() -> None:
    async with serving(Echo()) as rig:
        for _ in range(3):
            # No turn of the loop in between: it finds a socket that has no peer any more.
            with socket.create_connection(("127.0.0.1", rig.port)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.answer())[0] == 200
        assert rig.server.connections == 1


@on_both_loops
async def test_who_has_answered_has_nobody_to_talk_to_any_more() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", 403)
        seen.append((await receive())["type"])
        with pytest.raises(Disconnected):
            await scope["extensions"]["pileus.body"](memoryview(bytearray(10)))
        with pytest.raises(Disconnected):
            await send({"type": "http.response.body", "body": b"more"})
        seen.append("done")

    async with serving(app) as rig:
        for expect in (b"", b"Expect: 100-continue\r\n"):
            client = await rig.client(b"PUT / HTTP/1.1\r\n%bContent-Length: 5\r\n\r\n" % expect)
            assert (await client.answer())[2] == b"no"
            assert await client.rest() == b""
            await until(lambda: seen == ["http.disconnect", "done"])
            seen.clear()


@on_both_loops
async def test_leave_to_send_is_not_given_in_the_midst_of_an_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"12", "more_body": True})
        assert (await receive())["body"] == b"hi"
        await send({"type": "http.response.body", "body": b"34"})

    async with serving(app) as rig:
        client = await rig.client(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        await client.head()
        client.write(b"hi")
        assert await client.rest() == b"1234"


@pytest.mark.slow
@on_both_loops
async def test_an_answer_sent_at_once_may_be_read_slowly_but_not_not_at_all() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, bytes(8 * MIB))

    times = {"idle_seconds": 0.1, "linger_seconds": 0.1, "stall_seconds": 0.5, "sweep_seconds": 0.02}
    async with serving(app, **times) as rig:
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        _, headers = await client.head()
        left = int(headers["content-length"])
        while left:
            left -= len(await client.reader.read(MIB))
            await asyncio.sleep(0.05)
        await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: rig.server.connections == 1)
        await until(lambda: rig.server.connections == 0)


@pytest.mark.parametrize("path", [b"/body", b"/at-once", b"/file"])
@on_both_loops
async def test_who_reads_what_the_kernel_keeps_has_not_stalled(path: bytes, tmp_path: Path) -> None:
    """It keeps megabytes, and takes no more before a good part of them is gone."""
    size = 16 * MIB
    (tmp_path / "file").write_bytes(bytes(size))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = (b"content-length", b"%d" % size)
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        if path == b"/file":
            with (tmp_path / "file").open("rb") as file:
                message = {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 0}
                await send({**message, "count": size})
        else:
            await send({"type": "http.response.body", "body": bytes(size), "more_body": path == b"/body"})
            if path == b"/body":
                await send({"type": "http.response.body"})

    async with serving(app, stall_seconds=300, sweep_seconds=1e9) as rig:
        loop = asyncio.get_running_loop()
        sock = socket.create_connection(("127.0.0.1", rig.port))
        sock.setblocking(False)
        await loop.sock_sendall(sock, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        await loop.sock_recv(sock, 1)
        [connection] = rig.server._connections._open
        before = -1
        while before != connection._unacknowledged():
            before = connection._unacknowledged()
            await asyncio.sleep(0.01)
        sent, waiting = connection.sent, connection.transport.get_write_buffer_size()
        rig.sweep(0)
        for later in (200, 400, 600):
            before = connection._unacknowledged()
            await loop.sock_recv(sock, MIB // 8)
            await until(lambda: connection._unacknowledged() != before)  # noqa: B023 - run at once
            rig.sweep(later)
        # This is what the loop saw of it.
        assert (connection.sent, connection.transport.get_write_buffer_size()) == (sent, waiting)
        for later, left in ((890, 1), (910, 0)):
            rig.sweep(later)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert rig.server.connections == left
        sock.close()


@on_both_loops
async def test_clients_leave_files_to_open_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Echo()) as rig:
        monkeypatch.setattr(resource, "getrlimit", lambda which: (6, 12))
        for _ in range(5):
            await rig.client()
        kept = rig.clients[:3]
        for client in rig.clients[3:]:
            assert await client.rest() == b""
        for client in kept:
            client.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await client.answer())[0] == 200
        monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
        assert (await (await rig.client(b"GET / HTTP/1.1\r\n\r\n")).answer())[0] == 200


@on_both_loops
async def test_empty_lines_are_no_sign_of_life() -> None:
    async with serving(Echo(), idle_seconds=0.2, sweep_seconds=0.02) as rig:
        client = await rig.client()
        async with asyncio.timeout(2):
            while rig.server.connections or not client.reader.at_eof():
                client.write(b"\r\n")
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("junk", [b"T: " + b"x" * 1000, b"1;" + b"x" * 1000])
@on_both_loops
async def test_chunks_that_are_all_talk_are_refused(junk: bytes) -> None:
    head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    async with serving(Echo()) as rig:
        client = await rig.client(head + (b"0\r\n" if junk.startswith(b"T") else b"") + junk)
        for _ in range(4 * MAX_HEAD_BYTES // 1024):
            client.write(bytes(1024).replace(b"\0", b"x"))
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 400


@pytest.mark.slow
@on_both_loops
async def test_clients_that_crash_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(32 * MIB))
    running = [0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running[0] += 1
        try:
            await serve(scope, receive, send)
        finally:
            running[0] -= 1

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/receive":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif scope["path"] == "/into":
            while await scope["extensions"]["pileus.body"](memoryview(bytearray(100_000))):
                pass
        else:
            length = (b"content-length", b"%d" % (64 * MIB))
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            if scope["path"] == "/both":
                await send({"type": "http.response.body", "body": bytes(32 * MIB), "more_body": True})
            while scope["path"] == "/body":
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
            with (tmp_path / "file").open("rb") as file:
                part = {"file": file.fileno(), "offset": 0, "count": 32 * MIB, "more_body": True}
                await send({"type": "http.response.zerocopysend", **part})
                await send({"type": "http.response.zerocopysend", **part})

    descriptors: list[int] = []
    async with serving(app) as rig:
        with capture_logs() as logs:
            # Once for the descriptors that the loop keeps, and once more.
            for path in 2 * (b"/receive", b"/into", b"/body", b"/both", b"/file"):
                for body in (b"", b"abc", bytes(200_000)):
                    client = await rig.client(
                        b"PUT %b HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" % path + body
                    )
                    await until(lambda: running[0])
                    await asyncio.sleep(0.01)
                    reset(client)
                    await until(lambda: not running[0] and not rig.server.connections)
                descriptors.append(len(os.listdir("/proc/self/fd")))
            for path in (b"/body", b"/both", b"/file"):
                # So much comes early that the server stops reading.
                client = await rig.client(b"GET %b HTTP/1.1\r\n\r\n" % path * 10_000)
                await until(lambda: running[0])
                await asyncio.sleep(0.01)
                reset(client)
                await until(lambda: not running[0] and not rig.server.connections)
        assert logs == []
    assert descriptors[-1] <= descriptors[4]


@on_both_loops
async def test_a_file_is_not_closed_under_a_thread_that_sends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(MIB))
    entered, go_on = threading.Event(), threading.Event()
    found: list[bool] = []

    def slow(descriptor: int, file: int, offset: int, end: int) -> int:
        entered.set()
        go_on.wait(10)
        found.append(all(os.path.exists(f"/proc/self/fd/{each}") for each in (descriptor, file)))
        return end - offset

    monkeypatch.setattr(sending, "_push", slow)
    tasks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        length = (b"content-length", b"%d" % MIB)
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        with (tmp_path / "file").open("rb") as file:
            await send(
                {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 0, "count": MIB}
            )

    async with serving(app) as rig:
        await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        await until(entered.is_set)
        tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        go_on.set()
        await until(lambda: found)
        assert found == [True]
