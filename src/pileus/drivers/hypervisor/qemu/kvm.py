"""Whether KVM really runs guests here, found out by running one.

`/dev/kvm` can be there, open and report every capability, and still hang each guest: nested in a machine
whose own host does not play along. Only a guest that ran proves it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from pileus.drivers.hypervisor.host import boot_id
from pileus.kernel.files import write_whole
from pileus.lib.qemu_argv import BINARY

PROBE_SECONDS = 2.0

_DEVICE = "/dev/kvm"
_DEBUG_EXIT_PORT = 0xF4
_TOKEN = 0x10


class Verdict(msgspec.Struct, frozen=True):
    works: bool
    reason: str
    about: str
    """What it was found out about; for anything else it says nothing."""


def probe_kvm() -> tuple[bool, str]:
    """Boot a one-sector guest under KVM, `PROBE_SECONDS` at most; says whether it ran, and why not."""
    if not os.path.exists(_DEVICE):
        return False, f"{_DEVICE} is not there."
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False, f"{_DEVICE} may not be opened: run as root or join the group kvm."
    if shutil.which(BINARY) is None:
        return False, f"{BINARY} is not installed: apt install qemu-system-x86."
    with tempfile.NamedTemporaryFile(prefix="pileus-kvm-probe.") as disk:
        disk.write(_boot_sector())
        disk.flush()
        device = f"isa-debug-exit,iobase={_DEBUG_EXIT_PORT:#x},iosize=4"
        drive = f"file={disk.name},format=raw,if=ide,read-only=off,snapshot=off"
        command = [BINARY, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,accel=kvm"]
        command += ["-cpu", "host", "-m", "16M", "-device", device, "-drive", drive]
        try:
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, text=True
            )
        except subprocess.TimeoutExpired:
            return False, f"{_DEVICE} is there, but guests hang under it."
    # The device ends QEMU with twice the value that the guest wrote, plus one.
    if ended.returncode == 2 * _TOKEN + 1:
        return True, "A guest ran under KVM."
    complaint = ended.stderr.strip().partition("\n")[0].removeprefix(f"{BINARY}: error: ")
    return False, f"{_DEVICE} is there, but no guest starts: {complaint or f'status {ended.returncode}'}."


def remembered_probe(memory: Path) -> tuple[bool, str]:
    """As `probe_kvm`, but once for each boot of the host, its kernel and its QEMU."""
    about = _about()
    try:
        verdict = msgspec.json.decode(memory.read_bytes(), type=Verdict)
    except (FileNotFoundError, msgspec.DecodeError):
        verdict = None
    if verdict is None or verdict.about != about:
        verdict = Verdict(*probe_kvm(), about)
        write_whole(memory, msgspec.json.encode(verdict))
    return verdict.works, verdict.reason


def _about() -> str:
    binary = shutil.which(BINARY)
    changed_ns = os.stat(binary).st_mtime_ns if binary else 0
    return (
        f"boot {boot_id()}, {os.path.exists(_DEVICE)=}, {os.access(_DEVICE, os.W_OK)=}, {binary} {changed_ns}"
    )


def _boot_sector() -> bytes:
    """Write the token to the port whose device ends QEMU, then halt."""
    code = bytes([0xB0, _TOKEN, 0xE6, _DEBUG_EXIT_PORT, 0xFA, 0xF4])
    return code.ljust(510, b"\0") + b"\x55\xaa"
