"""What the HTTP server answers, by bytes on a socket: framing, files, slow readers, and mistakes of applications."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.http.exchange import Disconnected
from pileus.kernel.http.server import STOP_SECONDS
from pileus.testing.waiting import until

from ..http_rig import MIB, answer, on_both_loops, serving

pytestmark = pytest.mark.timeout(20)


@on_both_loops
async def test_answers_of_unknown_length_go_in_chunks_or_until_the_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async with serving(app) as rig:
        client = await rig.client(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await client.head())[1]["transfer-encoding"] == "chunked"
        assert await client.rest() == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        client = await rig.client(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert "transfer-encoding" not in (await client.head())[1]
        assert await client.rest() == b"onetwo"


@on_both_loops
async def test_answers_without_a_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/none":
            await answer(send, b"", 204)
        else:
            await answer(send, b"12345", 200, (b"content-length", b"5"))

    async with serving(app) as rig:
        client = await rig.client(b"HEAD / HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert (await client.head())[1]["content-length"] == "5"
        status, headers = await client.head()
        assert status == 204
        assert not {"content-length", "transfer-encoding"} & headers.keys()
        assert (await client.answer())[2] == b"12345"


@on_both_loops
async def test_a_broken_application_never_gives_half_an_answer_for_a_whole() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind = scope["path"]
        if kind == "/before":
            raise ValueError("a mistake")
        if kind == "/split":
            await answer(send, b"", 200, (b"x", b"a\r\nset-cookie: evil"))
        if kind == "/nothing":
            return
        length = b"10" if kind in ("/short", "/raises") else b"1"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": b"1234", "more_body": kind == "/raises"})
        raise ValueError("a mistake")

    async with serving(app) as rig:
        for path in (b"/before", b"/split", b"/nothing", b"/long"):
            client = await rig.client(b"GET %b HTTP/1.1\r\n\r\n" % path)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (500, "close"), path
        for path in (b"/short", b"/raises"):
            client = await rig.client(b"GET %b HTTP/1.1\r\n\r\n" % path)
            assert not (await client.rest()).endswith(b"1234567890")


@on_both_loops
async def test_an_answer_that_breaks_off_is_not_taken_for_one_that_ended() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await go_on.wait()
        raise ValueError("a mistake")

    go_on = asyncio.Event()
    async with serving(app) as rig:
        client = await rig.client(b"GET / HTTP/1.0\r\n\r\n")
        await client.head()
        assert await client.reader.readexactly(4) == b"half"
        go_on.set()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


@on_both_loops
async def test_an_application_waits_for_slow_readers_and_learns_when_they_leave() -> None:
    sent, left = [0], asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
                sent[0] += 1
        except Disconnected:
            left.set()
            raise

    async with serving(app) as rig:
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        before = 0
        while before != await until(lambda: sent[0]):
            before = sent[0]
            await asyncio.sleep(0.1)
        assert sent[0] < 32
        client.writer.close()
        await left.wait()


@on_both_loops
async def test_files_go_out_whole_in_part_and_not_at_all(tmp_path: Path) -> None:
    content = os.urandom(20 * MIB + 5)
    (tmp_path / "file").write_bytes(content)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http.response.zerocopysend" in scope["extensions"]
        offset, count = (3, 10) if scope["path"] == "/part" else (0, len(content))
        length = count + (scope["path"] == "/short")
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with (tmp_path / "file").open("rb") as file:
            message = {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": offset}
            if scope["path"] == "/two":
                await send({**message, "count": 7, "more_body": True})
                await send({"type": "http.response.body", "body": content[7:9], "more_body": True})
                await send({**message, "offset": 9, "count": count - 9})
            else:
                await send({**message, "count": length})

    async with serving(app) as rig:
        client = await rig.client()
        for path, expected in (
            (b"/", content),
            (b"/part", content[3:13]),
            (b"/two", content),
            (b"/", content),
        ):
            client.write(b"GET %b HTTP/1.1\r\n\r\n" % path)
            assert (await client.answer())[2] == expected
        client.write(b"HEAD / HTTP/1.1\r\n\r\nGET /part HTTP/1.1\r\n\r\n")
        await client.head()
        assert (await client.answer())[2] == content[3:13]
        client.write(b"GET /short HTTP/1.1\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.answer()


@on_both_loops
async def test_a_client_that_leaves_in_the_midst_of_a_file_ends_the_sending(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(64 * MIB))
    left = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % (64 * MIB))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with (tmp_path / "file").open("rb") as file:
            message = {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 0}
            try:
                await send({**message, "count": 64 * MIB})
            except Disconnected:
                left.set()
                raise

    before = len(os.listdir("/proc/self/fd"))
    async with serving(app) as rig:
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        await client.head()
        client.writer.close()
        await left.wait()
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 8)


@on_both_loops
async def test_who_listens_for_events_does_not_hold_up_the_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.Event().wait()

    async with serving(app) as rig:
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        await client.reader.readuntil(b"data: 1\n\n")
        async with asyncio.timeout(STOP_SECONDS / 2):
            await rig.server.stop()
        assert not (await client.rest()).strip()
