"""Programs of the host, run to their end.

Not by asyncio's subprocesses: uvloop leaves its ends of a program's pipes open in it, so that a daemon that the program
leaves behind keeps them, and who reads what the program says waits for ever. What it says goes to memory, and its end is
seen by its pidfd.
"""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pileus.drivers.process import ended

SECONDS = 60.0
CHUNK_BYTES = 1 << 20


class ProgramError(Exception):
    """It is not there, failed, or took too long; says which. `complaint` is what the program itself said, if anything."""

    def __init__(self, message: str, complaint: str = "") -> None:
        super().__init__(message)
        self.complaint = complaint or message


async def run(
    *argv: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    pass_fds: Sequence[int] = (),
    stderr: IO[bytes] | None = None,
    seconds: float | None = SECONDS,
) -> bytes:
    """What the program prints; its complaints go to the error, or to the file `stderr`. Who stops waiting, ends it.

    Raises ProgramError.
    """
    with _memory("stdin") as given, _memory("stdout") as output, _memory("stderr") as complaint:
        given.write(stdin)
        given.seek(0)
        child = _started(
            argv, stdin=given, stdout=output, stderr=stderr or complaint, env=env, cwd=cwd, pass_fds=pass_fds
        )
        try:
            async with asyncio.timeout(seconds):
                await ended(child.pid)
        except TimeoutError as error:
            raise ProgramError(f"{argv[0]} did not end within {seconds:g} s") from error
        finally:
            _end(child)
        _check(argv, child, _content(complaint))
        return _content(output)


async def output(*argv: str | Path) -> AsyncGenerator[bytes, None]:
    """What the program prints, as it comes. Raises ProgramError."""
    with _memory("stderr") as complaint:
        child = _started(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaint)
        assert isinstance(child.stdout, io.BufferedReader)
        # Its own reads and its end exclude each other: one that comes late must not read what has its number next.
        with child.stdout as printed:
            try:
                while chunk := await asyncio.to_thread(printed.read1, CHUNK_BYTES):
                    yield chunk
                await ended(child.pid)
            finally:
                _end(child)
        _check(argv, child, _content(complaint))


def _memory(name: str) -> IO[bytes]:
    return os.fdopen(os.memfd_create(name), "w+b")


def _started(argv: Sequence[str | Path], **how: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, **how)
    except FileNotFoundError as error:
        raise ProgramError(f"{argv[0]} is not installed on this host; `pileus doctor` helps") from error


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _content(memory: IO[bytes]) -> bytes:
    memory.seek(0)
    return memory.read()


def _check(argv: Sequence[str | Path], child: subprocess.Popen[bytes], complaint: bytes) -> None:
    if child.returncode:
        said = complaint.decode(errors="replace").strip() or f"exit status {child.returncode}"
        raise ProgramError(f"{argv[0]} failed: {said}", said)
