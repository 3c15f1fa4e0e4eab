"""Programs of the host, on either event loop: a cloud runs on uvloop, tests on asyncio's."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from pileus.drivers import program
from pileus.drivers.program import ProgramError
from pileus.testing.waiting import until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def test_what_goes_in_and_comes_out(run: Run) -> None:
    assert run(program.run("tr", "a-z", "A-Z", stdin=b"abc" * 100_000)) == b"ABC" * 100_000
    assert run(program.run("sh", "-c", "echo $WORD; pwd", env={"WORD": "yes"}, cwd="/")) == b"yes\n/\n"


def test_what_fails_says_why(run: Run) -> None:
    with pytest.raises(ProgramError, match=r"no such thing$") as raised:
        run(program.run("sh", "-c", "echo no such thing >&2; exit 3"))
    assert raised.value.complaint == "no such thing"
    with pytest.raises(ProgramError, match=r"exit status 3$"):
        run(program.run("sh", "-c", "exit 3"))
    with pytest.raises(ProgramError, match="nobody-has-this is not installed"):
        run(program.run("nobody-has-this"))


@pytest.mark.slow
def test_who_waits_no_longer_ends_it(run: Run, tmp_path: Path) -> None:
    own = f"echo $$ > {tmp_path}/pid; exec sleep 60"
    with pytest.raises(ProgramError, match="did not end within"):
        run(program.run("sh", "-c", own, seconds=2))
    assert _is_gone(tmp_path / "pid")

    async def cancelled() -> None:
        task = asyncio.ensure_future(program.run("sh", "-c", own.replace("/pid", "/other")))
        await until(lambda: (tmp_path / "other").exists())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(cancelled())
    assert _is_gone(tmp_path / "other")


def test_a_daemon_that_it_leaves_behind_is_not_waited_for(run: Run) -> None:
    left = int(run(program.run("sh", "-c", "sleep 1000 & echo $!")))
    os.kill(left, signal.SIGKILL)


def test_output_comes_in_pieces_and_can_be_left(run: Run, tmp_path: Path) -> None:
    async def whole() -> bytes:
        return b"".join([chunk async for chunk in program.output("seq", "100000")])

    assert run(whole()).split() == [b"%d" % number for number in range(1, 100_001)]

    async def left() -> None:
        endless = program.output("sh", "-c", f"echo $$ > {tmp_path}/pid; exec yes")
        assert (await anext(endless)).startswith(b"y\n")
        await endless.aclose()

    run(left())
    assert _is_gone(tmp_path / "pid")

    async def failing() -> None:
        async for _ in program.output("sh", "-c", "echo some; echo broken >&2; exit 1"):
            pass

    with pytest.raises(ProgramError, match="broken"):
        run(failing())


def _is_gone(pid_file: Path) -> bool:
    return not Path(f"/proc/{int(pid_file.read_text())}").exists()
