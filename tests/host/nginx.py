"""A real nginx from Debian for a test: one worker, its own folder, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pileus.testing.cloud import until

from .mortal import mortal

_FILES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, port: int, configuration: str) -> Iterator[None]:
    """Runs with this inside of its `http` block, for as long as the `with` block lasts; `port` is one it listens on."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    assert program is not None, "there is no nginx: apt-get install nginx-light"
    folder.mkdir()
    paths = "".join(f"{name}_temp_path {folder}/{name};" for name in _FILES)
    (folder / "nginx.conf").write_text(
        ("user root;\n" if os.geteuid() == 0 else "")
        + f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        + f"http {{ access_log off; {paths}\n{configuration}\n}}\n"
    )
    command = [program, "-p", folder, "-e", folder / "log", "-c", folder / "nginx.conf"]
    process = subprocess.Popen(mortal(command))
    try:
        until(lambda: _answers(process, port), 60, "nginx to answer")
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "nginx has ended"
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
