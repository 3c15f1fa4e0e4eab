"""A root filesystem for tests: busybox, its init, and a script that says when it is up."""

from __future__ import annotations

import io
import subprocess
import tarfile

BUSYBOX = "/bin/busybox"
READY = "guest is up"

_INITTAB = """\
::sysinit:/etc/rc
::respawn:/etc/obey
::shutdown:/bin/echo going down
"""

_RC = f"""\
#!/bin/sh
echo boot >> /root/boots
ip link set lo up
echo "{READY}"
"""

# What the test writes to /root/order runs as the guest's root, its output in /root/answer.
_OBEY = """\
#!/bin/sh
while :; do
    while ! mv -f /root/order /root/ordered 2>/dev/null; do sleep 0.02; done
    sh /root/ordered > /root/answering 2>&1
    echo "status $?" >> /root/answering
    mv /root/answering /root/answer
done
"""


def tarball(compression: str = "", extra: list[tuple[tarfile.TarInfo, bytes]] | None = None) -> bytes:
    """A root filesystem's tarball, optionally `gz`, with further members at its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "run", "root", "usr"):
            _add(archive, member(name, tarfile.DIRTYPE, 0o755))
        _add(archive, member("tmp", tarfile.DIRTYPE, 0o1777))
        with open(BUSYBOX, "rb") as file:
            _add(archive, member("bin/busybox", tarfile.REGTYPE, 0o755), file.read())
        for applet in subprocess.run(
            [BUSYBOX, "--list"], check=True, capture_output=True, text=True
        ).stdout.split():
            if applet != "busybox":
                link = member(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
                link.linkname = "/bin/busybox"
                _add(archive, link)
        init = member("sbin/init", tarfile.SYMTYPE, 0o777)
        init.linkname = "../bin/busybox"
        _add(archive, init)
        _add(archive, member("etc/inittab", tarfile.REGTYPE, 0o644), _INITTAB.encode())
        _add(archive, member("etc/rc", tarfile.REGTYPE, 0o755), _RC.encode())
        _add(archive, member("etc/obey", tarfile.REGTYPE, 0o755), _OBEY.encode())
        for more, content in extra or []:
            _add(archive, more, content)
    return buffer.getvalue()


def member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, mode
    return made


def _add(archive: tarfile.TarFile, member: tarfile.TarInfo, content: bytes = b"") -> None:
    if member.isreg():
        member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
