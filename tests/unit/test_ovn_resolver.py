"""Refusing questions for names, byte by byte."""

from __future__ import annotations

import pytest

from pileus.drivers.network.ovn.resolver import refusal

QUESTION = b"\x03www\x07example\x00\x00\x01\x00\x01"
QUERY = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION


def test_a_query_is_refused() -> None:
    assert refusal(QUERY) == b"\xab\xcd\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION


def test_what_comes_with_the_question_is_left_out() -> None:
    option = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
    assert refusal(QUERY[:11] + b"\x01" + QUESTION + option) == refusal(QUERY)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        QUERY[:11],
        QUERY[:20],
        QUERY[:-1],
        QUERY[:2] + b"\x81" + QUERY[3:],
        QUERY[:5] + b"\x02" + QUERY[6:],
    ],
    ids=["nothing", "half a header", "half a name", "half a type", "an answer", "two questions"],
)
def test_all_else_is_ignored(packet: bytes) -> None:
    assert refusal(packet) is None
