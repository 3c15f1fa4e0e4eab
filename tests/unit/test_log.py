"""Lines of the log: each is written, whole, whichever thread says it."""

from __future__ import annotations

import asyncio
import atexit
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pileus.kernel import log


class Written(io.BytesIO):
    """What was written, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> int:
        self.writes.append(bytes(data))
        return len(self.writes[-1])


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    before = structlog.get_config()
    made = Written()
    text = io.TextIOWrapper(made)  # which closes what it wraps when nobody has it
    monkeypatch.setattr(sys, "stderr", text)
    monkeypatch.setattr(atexit, "register", lambda function: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)  # the handlers are pytest's
    log.configure()
    yield made
    text.detach()
    structlog.configure(**before)


async def test_lines_of_one_turn_are_written_together(stderr: Written) -> None:
    said = structlog.get_logger("test")
    for number in range(3):
        said.info("line", number=number)
    assert stderr.writes == []
    await asyncio.sleep(0)
    assert len(stderr.writes) == 1
    assert [json.loads(line)["number"] for line in stderr.writes[0].splitlines()] == [0, 1, 2]


async def test_no_line_of_any_thread_is_lost(stderr: Written) -> None:
    said = structlog.get_logger("test")

    def talk(thread: int) -> None:
        for number in range(500):
            said.info("line", at=[thread, number])

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(500):
        said.info("line", at=[4, number])
        await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    await asyncio.sleep(0)
    lines = [json.loads(line)["at"] for line in b"".join(stderr.writes).splitlines()]
    assert sorted(lines) == [[thread, number] for thread in range(5) for number in range(500)]
