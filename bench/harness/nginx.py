"""What a web server makes of the same bytes, in the same run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.cloud import Process, free_port


@contextmanager
def nginx(served: Path) -> Iterator[tuple[Process, int] | None]:
    """An nginx of our own with one worker, and its port on loopback, that serves a folder; None where there is none."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pileus-bench-nginx-") as folder:
        paths = "".join(
            f"{name}_temp_path {folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = (
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; {paths}\n"
            f"server {{ listen 127.0.0.1:{port}; root {served}; }} }}\n"
        )
        file = Path(folder) / "nginx.conf"
        file.write_text(("user root;\n" if os.geteuid() == 0 else "") + configuration)
        process = subprocess.Popen([program, "-p", folder, "-e", f"{folder}/log", "-c", str(file)])
        try:
            _until_taken(port)
            yield Process(process.pid), port
        finally:
            process.terminate()
            process.wait()


def _until_taken(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
