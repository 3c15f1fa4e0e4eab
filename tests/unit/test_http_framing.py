"""Requests that a proxy before the server and the server could cut apart differently: each is refused, none is guessed at.

The vectors are those of request smuggling (RFC 9112, 11.2); for what is lawful, the test says what is understood.
"""

from __future__ import annotations

import pytest

from ..http_rig import Echo, on_both_loops, serving

pytestmark = pytest.mark.timeout(20)

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

LENGTHS = (
    b"+1",
    b"-1",
    b"0x1",
    b"1_0",
    b"1 1",
    b"1,1",
    b"1, 1",
    b"",
    b"\x0b1",
    b"1\x0b",
    b"\xb2",
    b"1" + b"0" * 20,
)
HEADERS = (
    b"Content-Length: 1\r\nContent-Length: 1",
    b"Content-Length: 1\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 1",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding:\r\n chunked",
    b"A: b\r\n\tc",
    b"A: b\rContent-Length: 1",
    b"A: b\nContent-Length: 1",
    b"A: b\r\r",
    b"A: \0b",
    b"A: b\x7f",
    b"A\0: b",
    b"A\xff: b",
    b": b",
    b"A",
)
FIRST_LINES = (
    b"GET /",
    b"GET / HTTP/0.9",
    b"GET / HTTP/1.2",
    b"GET / HTTP/01.1",
    b"GET / http/1.1",
    b"GET / HTTP/1.1 ",
    b"GET / HTTP/1.1\r",
    b"PRI * HTTP/2.0",
    b"get / HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b" GET / HTTP/1.1",
    b"GET /a\tb HTTP/1.1",
    b"GET /a\rb HTTP/1.1",
    b"GET /a\nb HTTP/1.1",
    b"GET /\0 HTTP/1.1",
    b"GET /a#b HTTP/1.1",
    b"GET /a?b#c HTTP/1.1",
    b"GET * HTTP/1.1",
    b"OPTIONS *? HTTP/1.1",
    b"GET a:443 HTTP/1.1",
    b"GET http:///b HTTP/1.1",
    b"GET http://u:p@a/b HTTP/1.1",
    b"GET http://a:b/ HTTP/1.1",
    b"GET ftp://a/b HTTP/1.1",
)
CHUNKS = (
    *(
        size + b"\r\na\r\n0\r\n\r\n"
        for size in (b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1\t", b"1_0", b"", b"g", b";a")
    ),
    *(
        b"1;%b\r\na\r\n0\r\n\r\n" % extension
        for extension in (b"", b" a", b"\0", b"\n", b'a="\n"', b'a="\r\n"')
    ),
    b"1" + b"0" * 16 + b"\r\na",
    b"1\na\r\n0\r\n\r\n",
    b"1\r\r\na\r\n0\r\n\r\n",
    b"1\r\na\n0\r\n\r\n",
    b"1\r\na0\r\n\r\n",
    b"1\r\nab\r\n0\r\n\r\n",
    b"0\n\r\n",
    b"0\r\n\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\nA: b\r\n c\r\n\r\n",
    b"0\r\nA\0: b\r\n\r\n",
    b"0\r\nContent-Length: 1\r\n\r\n",
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
)


@on_both_loops
async def test_what_could_be_understood_in_two_ways_is_refused() -> None:
    echo = Echo()
    async with serving(echo) as rig:
        for wire in (
            *(HEAD + b"Content-Length: %b\r\n\r\n1" % length for length in LENGTHS),
            *(HEAD + header + b"\r\n\r\n0\r\n\r\n" for header in HEADERS),
            *(line + b"\r\nHost: a\r\n\r\n" for line in FIRST_LINES),
        ):
            client = await rig.client(wire + NEXT)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) in ((400, "close"), (501, "close"), (505, "close")), wire
            assert await client.rest() == b"", wire
        assert echo.scopes == []
        for chunks in CHUNKS:
            client = await rig.client(CHUNKED + chunks + NEXT)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (400, "close"), chunks
            assert await client.rest() == b"", chunks
        assert "/smuggled" not in [scope["path"] for scope in echo.scopes]


@pytest.mark.parametrize(
    ("wire", "understood"),
    [
        (HEAD + b"Content-Length: \t1 \r\n\r\na", b"POST / a"),
        (HEAD + b"Content-Length: 01\r\n\r\na", b"POST / a"),
        (HEAD + b"Transfer_Encoding: chunked\r\nContent-Length: 1\r\n\r\na", b"POST / a"),
        (
            HEAD + b'Transfer-Encoding: CHUNKED\r\n\r\n01;a=b;c="d"\r\na\r\n00;e\r\nHost: b\r\n\r\n',
            b"POST / a",
        ),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * "),
        (b"GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET //b/c "),
        (b"GET http://[::1]:80/c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /c "),
        (b"GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / "),
    ],
)
@on_both_loops
async def test_what_is_lawful_is_understood_and_so_is_what_comes_after(
    wire: bytes, understood: bytes
) -> None:
    async with serving(Echo()) as rig:
        client = await rig.client(wire)
        assert (await client.answer())[2] == understood
        client.write(NEXT)
        assert (await client.answer())[2] == b"GET /smuggled "
