"""Requests that are broken in every way there is: the right error, nothing written, no memory for it."""

from __future__ import annotations

import asyncio
import gc
import re
import time
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Literal

import pytest
from botocore.awsrequest import AWSRequest

from pileus.services.object_store.s3 import chunked as chunks
from tests.api.test_s3_requests import chunked, code, sent, signed
from tests.api.test_s3_rubbish import BOMB
from tests.object_store_client import NOBODY, Answer
from tests.s3_client import Rig, keys, running

MIB = 1024 * 1024
URL = "http://cloud.test/box/o"
PUBLIC = (
    b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*Object",'
    b' "Resource": "arn:aws:s3:::box/*"}]}'
)
UPLOAD = re.compile("<UploadId>(.*?)</UploadId>")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        assert (await rig("PUT", "/box")).status == 200
        assert (await rig("PUT", "/box/secret", b"secret")).status == 200
        yield rig


# Bodies


async def refused_upload(rig: Rig, request: AWSRequest, pieces: list[bytes]) -> Answer:
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": "cloud.test", "content-length": str(sum(map(len, pieces)))}
    return await rig("PUT", "/box/o", as_=NOBODY, prefix="", chunks=pieces, **headers)


def files(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("trailer", [{}, {"trailer": "yes"}])
async def test_large_bodies_that_break_in_the_middle(
    rig: Rig, tmp_path: Path, trailer: dict[str, str]
) -> None:
    """Larger than what is put at once: what was written by then goes again."""
    body = bytes(range(256)) * (12 * 1024)
    request, wire = chunked(body, 64 * 1024, **trailer)
    before = files(tmp_path / "device")
    middle = wire.index(b"chunk-signature=", len(wire) // 2) + 20
    broken = {
        "a signature": (
            wire[:middle] + (b"1" if wire[middle] == ord("0") else b"0") + wire[middle + 1 :],
            "SignatureDoesNotMatch",
        ),
        "a byte": (wire.replace(body[:256], b"\xff" * 256, 1), "SignatureDoesNotMatch"),
        "the end": (wire[: len(wire) // 2], "IncompleteBody"),
        "the last chunk": (wire[: wire.rindex(b"0;chunk-signature=")], "IncompleteBody"),
        "more": (wire + wire, "IncompleteBody"),
    }
    for what, (sent_bytes, expected) in broken.items():
        pieces = [sent_bytes[at : at + MIB] for at in range(0, len(sent_bytes), MIB)]
        answer = await refused_upload(rig, request, pieces)
        assert (code(answer), answer.status) == (expected, 403 if expected.startswith("Sig") else 400), what
        assert await keys(rig, "box") == ["secret"]
        assert files(tmp_path / "device") == before, what
    assert (await refused_upload(rig, request, [wire])).status == 200
    assert (await rig("GET", "/box/o")).body == body


@pytest.mark.parametrize("size", [100, 3 * MIB], ids=["small", "large"])
async def test_bodies_that_are_not_what_they_should(rig: Rig, tmp_path: Path, size: int) -> None:
    body, wrong = b"x" * size, b"y" * size
    before = files(tmp_path / "device")
    good = signed("PUT", "/box/o", body)
    assert code(await sent(rig, good, wrong)) == "XAmzContentSHA256Mismatch"
    digest = b64encode(md5(wrong).digest()).decode()
    assert (
        code(await sent(rig, signed("PUT", "/box/o", body, **{"Content-MD5": digest}), body)) == "BadDigest"
    )
    checksum = {"x-amz-checksum-sha256": b64encode(sha256(wrong).digest()).decode()}
    assert code(await sent(rig, signed("PUT", "/box/o", body, **checksum), body)) == "BadDigest"
    short = await sent(rig, signed("PUT", "/box/o", body), body, content_length=str(size + 1))
    assert (short.status, code(short)) == (400, "IncompleteBody")
    long = await sent(rig, signed("PUT", "/box/o", body), body, content_length=str(size - 1))
    assert (long.status, code(long)) in ((400, "IncompleteBody"), (400, "InvalidArgument"))
    assert await keys(rig, "box") == ["secret"]
    assert files(tmp_path / "device") == before


async def test_chunks_that_are_not_as_many_bytes_as_announced(rig: Rig) -> None:
    wire = b"5\r\nhello\r\n0\r\n\r\n"
    kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    for announced, pieces in (
        ("4", [wire]),
        ("6", [wire]),
        ("0", [wire]),
        ("5", [wire[:-4]]),
        ("5", [b"5\r\nhello\r\n", b"1\r\nx\r\n0\r\n\r\n"]),
        ("3000000", [b"5\r\nhello\r\n0\r\n\r\n"]),
    ):
        answer = await rig(
            "PUT",
            "/box/o",
            chunks=pieces,
            x_amz_content_sha256=kind,
            x_amz_decoded_content_length=announced,
            content_length=str(sum(map(len, pieces))),
        )
        assert (answer.status, code(answer)) == (400, "IncompleteBody"), (announced, pieces)
    assert await keys(rig, "box") == ["secret"]
    for trailers in (
        b"x-amz-checksum-crc32:AAAAAA==\r\n",
        b"x-amz-checksum-crc32:x\r\n",
        b"x-amz-checksum-sha1:AAAA\r\n",
        b"",
        b"\xff\xfe:\xfd\r\n",
    ):
        answer = await rig(
            "PUT",
            "/box/o",
            chunks=[wire[:-2] + trailers + b"\r\n"],
            x_amz_content_sha256=kind,
            x_amz_decoded_content_length="5",
            x_amz_trailer="x-amz-checksum-crc32",
            content_length=str(len(wire) + len(trailers)),
        )
        assert answer.status == 400, trailers
        assert code(answer) in ("BadDigest", "InvalidRequest", "MalformedTrailerError"), trailers
    assert await keys(rig, "box") == ["secret"]


@pytest.mark.slow
async def test_many_small_chunks_cost_no_more_than_they_are_long() -> None:
    class Unsigned:
        signed = None
        headers: dict[str, str] = {}

    async def seconds(count: int) -> float:
        wire = b"1\r\nx\r\n" * count + b"0\r\n\r\n"

        async def stream() -> AsyncIterator[bytes]:
            yield wire

        began, size = time.process_time(), 0
        kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        async for piece in chunks.decoded(stream(), Unsigned(), kind, {}):  # type: ignore[arg-type]
            size += len(piece)
        assert size == count
        return time.process_time() - began

    few = min([await seconds(15_000) for _ in range(3)])
    assert (
        await seconds(120_000) < 30 * few
    )  # eight times as many; were each copied, it would be 64 times as much


# Names and documents


async def test_names_that_are_no_text(rig: Rig) -> None:
    for path, raw in (
        ("/box/\ufffd", b"/s3/box/%FF"),
        ("/box/\ufffd", b"/s3/box/a%C3"),
        ("/\ufffd", b"/s3/%80"),
    ):
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            answer = await rig(method, path, b"x", raw_path=raw)
            assert (answer.status, code(answer) or "InvalidURI") == (400, "InvalidURI"), (method, raw)
    for query in (
        "prefix=%FF",
        "marker=%C3",
        "list-type=2&continuation-token=%FF",
        "delimiter=%80",
        "prefix=%00",
    ):
        answer = await rig("GET", f"/box?{query}")
        assert answer.status == 400, query
    for source in (
        "/box/%FF",
        "%FF/secret",
        "/box/" + "k" * 1025,
        "/box/",
        "box",
        "",
        "?versionId=x",
        "/box/a%00b",
    ):
        answer = await rig("PUT", "/box/o", x_amz_copy_source=source)
        assert answer.status in (400, 404), source
    keys_ = "".join(
        f"<Object><Key>{key}</Key></Object>" for key in ("k" * 1025, "\u00fc" * 513, "a&#xFFFD;b")
    )
    told = await rig("POST", "/box?delete", f"<Delete>{keys_}</Delete>".encode())
    assert told.body.count(b"<Code>KeyTooLongError</Code>") == 2
    assert await keys(rig, "box") == ["secret"]


@pytest.mark.slow
async def test_documents_that_are_bombs(rig: Rig) -> None:
    upload = UPLOAD.findall((await rig("POST", "/box/o?uploads")).body.decode())[0]
    assert (await rig("PUT", f"/box/o?partNumber=1&uploadId={upload}", b"part")).status == 200
    for method, path, root in (
        ("PUT", "/new", "CreateBucketConfiguration"),
        ("PUT", "/box?versioning", "VersioningConfiguration"),
        ("POST", "/box?delete", "Delete"),
        ("POST", f"/box/o?uploadId={upload}", "CompleteMultipartUpload"),
        ("PUT", "/box/secret?tagging", "Tagging"),
    ):
        for body in (
            BOMB.replace("{root}", root).encode(),
            f'<!DOCTYPE {root} SYSTEM "file:///etc/passwd"><{root}/>'.encode(),
            f"<{root}>{'<a>' * 50_000}{'</a>' * 50_000}</{root}>".encode(),
            f"<{root}>{'<a/>' * 300_000}</{root}>".encode(),
            f"<{root} ".encode() + b" ".join(b'a%d=""' % n for n in range(50_000)),
            b"<" + b"a" * 1_000_000,
            f"<{root}>".encode() + b"\xff\xfe\x00",
            f"<{root}>&#0;</{root}>".encode(),
        ):
            answer = await rig(method, path, body)
            assert answer.status == 400, (path, body[:60], answer.body)
            assert code(answer) in ("MalformedXML", "MaxMessageLengthExceeded"), (path, body[:60])
        huge = await rig(method, path, f"<{root}>".encode() + b" " * (3 * MIB))
        assert (huge.status, code(huge)) == (400, "MaxMessageLengthExceeded"), path
    assert await keys(rig, "box") == ["secret"]
    assert (await rig("HEAD", "/new")).status == 404
    assert b"<Tag>" not in (await rig("GET", "/box/secret?tagging")).body


@pytest.mark.slow
async def test_floods_of_headers(rig: Rig) -> None:
    for flood in (
        {f"x-amz-meta-{n}": "x" * 50 for n in range(5000)},
        {"x-amz-meta-a": "x" * 1_000_000},
        {"range": "bytes=" + ",".join(f"{n}-{n}" for n in range(50_000))},
        {"if-match": ",".join(f'"{n}"' for n in range(50_000))},
        {"x-amz-tagging": "&".join(f"k{n}=v" for n in range(5000))},
        {"x-amz-grant-read": ",".join(f'id="{n}"' for n in range(20_000))},
        {"x-amz-object-attributes": "ETag," * 50_000},
        {"cookie": "a=b;" * 100_000},
    ):
        # Any that cost the square of its length would outlast the test's deadline.
        for method, path in (("PUT", "/box/o"), ("GET", "/box/secret"), ("GET", "/box/secret?attributes")):
            answer = await rig(method, path, b"x", **flood)
            assert answer.status < 500, (path, list(flood)[:1])
        if method == "PUT":
            assert await keys(rig, "box") == ["secret"]


class Gate(asyncio.Event):
    """That tells when all stand before it."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._missing = expected
        self.all_there = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self._missing -= 1
        if self._missing == 0:
            self.all_there.set()
        return await super().wait()


async def test_who_is_slow_takes_no_memory(rig: Rig) -> None:
    """Uploads that stand still in the middle, and documents that come by the byte."""
    many = 100
    gate = Gate(3 * many)

    def stalled(number: int) -> list[asyncio.Task[Answer]]:
        head = {"content_length": str(5 * 1024 * MIB)}
        chunk = b"100000;chunk-signature=" + b"0" * 64 + b"\r\n"
        return [
            asyncio.create_task(rig("PUT", f"/box/s{number}", chunks=[b"x" * 1000, gate, b""], **head)),
            asyncio.create_task(
                rig(
                    "PUT",
                    f"/box/c{number}",
                    chunks=[chunk[:20], gate, b""],
                    x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                    x_amz_decoded_content_length=str(5 * 1024 * MIB),
                    **head,
                )
            ),
            asyncio.create_task(
                rig(
                    "POST",
                    "/box?delete",
                    chunks=[b"<Delete>", gate, b""],
                    content_md5="A" * 22 + "==",
                    **head,
                )
            ),
        ]

    gc.collect()
    tracemalloc.start()
    try:
        tasks = [task for number in range(many) for task in stalled(number)]
        await asyncio.wait_for(gate.all_there.wait(), 30)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < len(tasks) * 40_000
    assert (await rig("GET", "/box/secret")).body == b"secret"
    gate.set()
    answers = await asyncio.gather(*tasks)
    assert {each.status for each in answers} <= {0, 400}
    assert await keys(rig, "box") == ["secret"]


@pytest.mark.slow
async def test_over_a_connection(tmp_path: Path) -> None:
    """What the server itself has to stand: it answers or hangs up, and goes on serving others."""
    async with running(tmp_path, listen=True) as rig:
        assert (await rig("PUT", "/box")).status == 200
        assert (await rig("PUT", "/box?policy", PUBLIC)).status == 204

        async def told(wire: bytes, *, ends: bool = True) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
            try:
                writer.write(wire)
                if ends:
                    writer.write_eof()
                return await asyncio.wait_for(reader.read(), 20)
            except OSError:
                return b""
            finally:
                writer.close()

        head = b"PUT /s3/box/o HTTP/1.1\r\nHost: s3.test\r\n"
        for wire in (
            head + b"".join(b"x-amz-meta-%d: x\r\n" % n for n in range(100_000)) + b"\r\n",
            head + b"x-amz-meta-a: " + b"x" * (20 * MIB) + b"\r\n\r\n",
            b"PUT /s3/box/" + b"k" * (20 * MIB) + b" HTTP/1.1\r\n\r\n",
            head + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello",
            head + b"Content-Length: -1\r\n\r\n",
            head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            head + b"Content-Length: 10\r\n\r\nshort",
            head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PUT /s3/box/%FF HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        ):
            answer = await told(wire)
            assert not answer or 400 <= int(answer[9:12]) < 500, (wire[-60:], answer[:200])
            assert await keys(rig, "box") == [], wire[:100]
        good = await told(head + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", ends=False)
        assert good.startswith(b"HTTP/1.1 200")
        assert await keys(rig, "box") == ["o"]
