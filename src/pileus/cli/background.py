"""A cloud in a process of its own: the part that leaves the terminal, and the part that waits and shows how far it is."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import click

UP_SECONDS = 60.0


class Teller:
    """Tells the waiting `pileus up`, or the terminal, how far it is."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def step(self, name: str) -> None:
        self._say(name)

    def failed(self, error: Exception) -> None:
        if self._fd is not None:
            self._say("failed: " + " ".join(str(error).split()))

    def ready(self, base_url: str) -> None:
        if self._fd is None:
            click.echo(f"The cloud is up: {base_url}  (Ctrl-C ends the control plane)")
            return
        self._say("ready")
        os.close(self._fd)
        self._fd = None

    def _say(self, text: str) -> None:
        if self._fd is None:
            click.echo(text)
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, text.encode() + b"\n")


def run(serve: Callable[[Teller], None], log: Path) -> None:
    """Runs `serve` in a process that outlives this one and writes to `log`; returns when it is ready.

    A fork, since a new interpreter would take a tenth of a second to come as far as we are. Raises ClickException.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _leave(receiver, log)
        _serve_and_exit(serve, Teller(sender))
    os.close(sender)
    _follow(child, receiver, log)


def _leave(receiver: int, log: Path) -> None:
    os.setsid()
    os.close(receiver)
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(out)


def _serve_and_exit(serve: Callable[[Teller], None], teller: Teller) -> None:
    status = 0
    try:
        serve(teller)
    except BaseException as error:
        status = 1
        traceback.print_exc()
        if isinstance(error, click.ClickException):
            teller.failed(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _follow(child: int, receiver: int, log: Path) -> None:
    steps = _Steps()
    deadline, pending = time.monotonic() + UP_SECONDS, b""
    with contextlib.closing(os.fdopen(receiver, "rb", buffering=0)) as messages:
        while True:
            readable, _, _ = select.select([messages], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                os.kill(child, signal.SIGTERM)
                raise click.ClickException(f"not up after {UP_SECONDS:.0f} s; {log} says how far it came")
            chunk = messages.read(4096)
            if not chunk:
                steps.end(ok=False)
                raise click.ClickException(f"the cloud did not come up; the end of {log}:\n{_tail(log)}")
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                text = line.decode()
                if text == "ready":
                    steps.end(ok=True)
                    return
                if text.startswith("failed: "):
                    steps.end(ok=False)
                    raise click.ClickException(text.removeprefix("failed: "))
                steps.begin(text)


class _Steps:
    """Progress: a line for each step, with the time it took."""

    def __init__(self) -> None:
        self._name = ""
        self._since = 0.0

    def begin(self, name: str) -> None:
        self.end(ok=True)
        self._name, self._since = name, time.monotonic()

    def end(self, *, ok: bool) -> None:
        if self._name:
            click.echo(
                f"  {self._name:<28} {time.monotonic() - self._since:5.2f} s{'' if ok else '  FAILED'}"
            )
        self._name = ""


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
