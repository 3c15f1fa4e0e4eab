"""What comes to the HTTP server, by bytes on a socket: requests, bodies, and what no client can do to it."""

from __future__ import annotations

import asyncio
import itertools
import os
from random import Random
from typing import Any

import pytest

from pileus.kernel.http.exchange import Disconnected
from pileus.kernel.http.head import MAX_HEAD_BYTES, MAX_HEADERS
from pileus.testing.waiting import until

from ..http_rig import MIB, Echo, answer, on_both_loops, serving

pytestmark = pytest.mark.timeout(20)


@on_both_loops
async def test_requests_on_one_connection_are_answered_in_order() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(
            b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n",
            b"Connection: close\r\n\r\n",
        )
        assert [(await client.answer())[2] for _ in range(3)] == [b"GET /1 ", b"POST /2 abc", b"GET /3 "]
        assert await client.rest() == b""


@on_both_loops
async def test_a_request_may_come_byte_by_byte() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client()
        for byte in b"\r\nPUT /a%20b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
            client.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer())[2] == b"PUT /a b hi"


@on_both_loops
async def test_where_requests_are_cut_on_their_way_changes_nothing() -> None:
    whole = (
        b"GET /1?x HTTP/1.1\r\nHost: x\r\n\r\n"
        b"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nGET / HTTP/1"
        b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        b"PUT /4 HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n"
        b"GET /5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    expected = [b"GET /1 ", b"PUT /2 GET / HTTP/1", b"POST /3 ", b"PUT /4 \r\n\r\n", b"GET /5 "]
    async with serving(Echo()) as rig:
        for seed in range(30):
            random = Random(seed)
            cuts = sorted(random.sample(range(1, len(whole)), random.randint(0, 8)))
            client = await rig.client()
            for start, end in itertools.pairwise([0, *cuts, len(whole)]):
                client.writer.write(whole[start:end])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert [(await client.answer())[2] for _ in expected] == expected, seed
            assert await client.rest() == b""


@on_both_loops
async def test_what_the_scope_says() -> None:
    echo = Echo()
    async with serving(echo) as rig:
        client = await rig.client(
            b"GET http://other/p%c3%a9/%2f%ff?q=%20 HTTP/1.0\r\nX-A: 1\r\nX-A:2 \t\r\n\r\n"
        )
        await client.rest()
        client = await rig.client("GET /p\u00e9 HTTP/1.0\r\n\r\n".encode())
        await client.rest()
    scope = echo.scopes[0]
    assert scope["path"] == "/p\u00e9//\ufffd"
    assert scope["raw_path"] == b"/p%c3%a9/%2f%ff"
    assert scope["query_string"] == b"q=%20"
    assert scope["headers"] == [(b"host", b"other"), (b"x-a", b"1"), (b"x-a", b"2")]
    assert scope["http_version"] == "1.0"
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert scope["server"][1] == rig.port
    assert echo.scopes[1]["path"] == "/p\u00e9"


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", None),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", None),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", None),
        (b"GET / HTTP/1.0\r\n\r\n", b"-"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: my_box.s3.test:\r\n\r\n", b"my_box.s3.test:"),
        (b"GET / HTTP/1.1\r\nHost: [fe80::a9fe:a9fe%25eth0]:80\r\n\r\n", b"[fe80::a9fe:a9fe%25eth0]:80"),
        (b"GET http://a:8080/ HTTP/1.1\r\nHost: b\r\n\r\n", b"a:8080"),
        (b"GET HTTPS://a HTTP/1.1\r\nHost: b\r\n\r\n", b"a"),
    ],
)
@on_both_loops
async def test_each_request_has_one_host(data: bytes, host: bytes | None) -> None:
    """RFC 9112, 3.2; None: it is refused."""
    echo = Echo()
    async with serving(echo) as rig:
        client = await rig.client()
        client.writer.write(data)
        assert (await client.answer())[0] == (400 if host is None else 200)
    found = [dict(scope["headers"]).get(b"host", b"-") for scope in echo.scopes]
    assert found == ([] if host is None else [host])


@on_both_loops
async def test_connections_stay_or_close_as_both_sides_say() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.answer())[1]["connection"] == "keep-alive"
        client.write(b"GET / HTTP/1.0\r\n\r\n")
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.rest() == b""


@on_both_loops
async def test_bodies_in_chunks() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.write(b"4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n")
        assert (await client.answer())[2] == b"POST /c abcdefg"
        client.write(b"GET /after HTTP/1.1\r\n\r\n")
        assert (await client.answer())[2] == b"GET /after "


@on_both_loops
async def test_chunks_may_come_in_any_pieces() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in b"3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nT: t\r\n\r\n":
            client.write(bytes([byte]))
            await asyncio.sleep(0.001)
        assert (await client.answer())[2] == b"POST /c abcd"


@on_both_loops
async def test_what_comes_right_behind_the_last_chunk_is_not_served() -> None:
    """llhttp does not say where it ended, and half a guess would be a smuggled request."""
    async with serving(Echo()) as rig:
        client = await rig.client(
            b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        )
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"POST /c a")
        assert await client.rest() == b""


@on_both_loops
async def test_clients_that_wait_for_leave_to_send_get_it() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.write(b"ok")
        assert (await client.answer())[2] == b"PUT /x ok"
        # There is nothing to send, and some clients (boto/botocore#3755) can't bear to be told so by the answer itself.
        client.write(b"PUT /y HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        status, headers, body = await client.answer()
        assert (status, "connection" in headers, body) == (200, False, b"PUT /y ")


@on_both_loops
async def test_a_refusal_is_read_while_the_body_is_still_sent() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", 403)

    async with serving(app) as rig:
        client = await rig.client(b"PUT /x HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n")
        for _ in range(8):
            client.write(bytes(MIB))
            await client.writer.drain()
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (403, "close", b"no")
        assert await client.rest() == b""
        client = await rig.client(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await client.answer())[0] == 403


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 501),
        (b"FROB / HTTP/1.1\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"0" * 5000 + b"1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", 501),
        (b"GET http://a:b/ HTTP/1.1\r\n\r\n", 400),
        (b"GET *a HTTP/1.1\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
    ],
)
@on_both_loops
async def test_what_is_no_request_is_refused_and_the_connection_closed(data: bytes, status: int) -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(data)
        found, headers, _ = await client.answer()
        assert (found, headers["connection"]) == (status, "close")
        assert await client.rest() == b""


@on_both_loops
async def test_offers_to_upgrade_are_ignored() -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(
            b"POST /u HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi",
            b"GET /after HTTP/1.1\r\n\r\n",
        )
        assert (await client.answer())[2] == b"POST /u hi"
        assert (await client.answer())[2] == b"GET /after "


@on_both_loops
async def test_bodies_come_into_the_application_s_memory() -> None:
    sent = os.urandom(5 * MIB + 17)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        read_into = scope["extensions"]["pileus.body"]
        memory = memoryview(bytearray(MIB))
        got: list[bytes] = []
        first: Any = await receive() if scope["path"] == "/mixed" else {"body": b"", "more_body": True}
        got.append(first["body"])
        while first["more_body"] and (size := await read_into(memory)):
            got.append(bytes(memory[:size]))
            assert size == MIB or sum(map(len, got)) == len(sent)
        assert await read_into(memory) == 0
        await answer(send, b"same" if b"".join(got) == sent else b"other")

    chunked = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (sent[at : at + 99_999] for at in range(0, len(sent), 99_999))
    )
    async with serving(app) as rig:
        client = await rig.client()
        for path in (b"/direct", b"/mixed"):
            client.write(b"PUT %b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path, len(sent)) + sent)
            assert (await client.answer())[2] == b"same"
            client.write(
                b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (path, chunked)
            )
            assert (await client.answer())[2] == b"same"


@on_both_loops
async def test_a_body_that_is_cut_off_is_told_from_one_that_ended() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/into":
            try:
                await scope["extensions"]["pileus.body"](memoryview(bytearray(100)))
            except Disconnected:
                seen.append("cut")
        else:
            while (message := await receive())["type"] == "http.request":
                assert message["more_body"]
            seen.append("cut")

    for path in (b"/into", b"/messages"):
        for framing in (b"Content-Length: 50", b"Transfer-Encoding: chunked"):
            async with serving(app) as rig:
                client = await rig.client(b"PUT %b HTTP/1.1\r\n%b\r\n\r\n4\r\nab" % (path, framing))
                client.writer.write_eof()
                await until(lambda: seen)
                assert seen.pop() == "cut"


@on_both_loops
async def test_a_body_nobody_asks_for_does_not_fill_the_memory() -> None:
    asked = asyncio.Event()
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asked.wait()
        size, more = 0, True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            size, more = size + sizes[-1], message["more_body"]
        await answer(send, b"%d" % size)

    async with serving(app) as rig:
        client = await rig.client(b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (32 * MIB))
        client.write(bytes(32 * MIB))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        asked.set()
        assert (await client.answer())[2] == b"%d" % (32 * MIB)
        assert max(sizes) <= MIB


@on_both_loops
async def test_what_takes_too_long_is_ended() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/floods":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    quick = {"head_seconds": 0.1, "idle_seconds": 0.1, "stall_seconds": 0.2, "sweep_seconds": 0.02}
    async with serving(app, **quick) as rig:
        for data in (b"", b"GET / HT", b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"):
            client = await rig.client(data)
            assert await client.rest() == b""
        client = await rig.client(b"GET /floods HTTP/1.1\r\n\r\n")
        await until(lambda: not rig.server.connections)


@on_both_loops
async def test_connections_beyond_the_limit_are_closed() -> None:
    async with serving(Echo(), connections=2) as rig:
        kept = [await rig.client(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)]
        for client in kept:
            assert (await client.answer())[0] == 200
        assert await (await rig.client(b"GET / HTTP/1.1\r\n\r\n")).rest() == b""
        kept[0].write(b"GET /again HTTP/1.1\r\n\r\n")
        assert (await kept[0].answer())[0] == 200


@on_both_loops
async def test_what_runs_is_finished_when_the_server_stops() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await answer(send, b"done")

    async with serving(app) as rig:
        idle = await rig.client()
        client = await rig.client(b"GET / HTTP/1.1\r\n\r\n")
        await begun.wait()
        stopping = asyncio.create_task(rig.server.stop())
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await rig.client()
        go_on.set()
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"done")
        await stopping
