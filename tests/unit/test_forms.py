"""Forms of browsers: whatever the pieces in which they come, and however broken they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import BadRequest
from pileus.services.object_store.forms import MAX_FIELD_BYTES, Form

KIND = 'multipart/form-data; boundary="b--1"'


def part(head: str, body: bytes) -> bytes:
    return f"--b--1\r\nContent-Disposition: form-data; {head}\r\n".encode() + b"\r\n" + body + b"\r\n"


END = b"--b--1--\r\n"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 1000, kind: str | None = KIND) -> list[tuple[str, str | None, bytes]]:
    return [
        (each.name, each.filename, b"".join([chunk async for chunk in each.chunks()]))
        async for each in Form(kind, pieces(body, size))
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "ä"]), st.none() | st.just("f.txt"), st.binary(max_size=200))
    ),
    st.integers(1, 300),
)
async def test_parts_come_whole_and_in_order(parts: list[tuple[str, str | None, bytes]], size: int) -> None:
    body = b"".join(
        part(f'name="{name}"' + ("" if file is None else f'; filename="{file}"'), data)
        for name, file, data in parts
        if b"\r\n--b--1" not in data
    )
    wanted = [each for each in parts if b"\r\n--b--1" not in each[2]]
    assert await read(body + END, size) == wanted


async def test_what_is_not_read_is_skipped() -> None:
    body = part('name="a"', b"x" * 5000) + part('name="b"', b"there") + END
    assert [each.name async for each in Form(KIND, pieces(body, 100))] == ["a", "b"]
    form = Form(KIND, pieces(body, 100))
    async for each in form:
        if each.name == "b":
            assert await each.read() == "there"
            assert await each.read() == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        part('name="a"', b"x"),
        part('name="a"', b"x")[:-5],
        b"--b--1\r\n\r\nno head\r\n" + END,
        b"--b--1\r\nContent-Disposition: form-data; name=a\r\n" + b"x" * 100_000,
        part("", b"no name\xff") + END[:-3],
    ],
)
async def test_broken_forms(body: bytes) -> None:
    with pytest.raises(BadRequest):
        await read(body)


@pytest.mark.parametrize("kind", [None, "", "text/plain", "multipart/form-data", f'{KIND[:-2]}{"x" * 80}"'])
async def test_what_is_no_form(kind: str | None) -> None:
    with pytest.raises(BadRequest):
        await read(part('name="a"', b"x") + END, kind=kind)


async def test_fields_are_text_and_short() -> None:
    for data in (b"\xff", b"x" * (MAX_FIELD_BYTES + 1)):
        form = Form(KIND, pieces(part('name="a"', data) + END, 1000))
        with pytest.raises(BadRequest):
            await (await anext(form)).read()
