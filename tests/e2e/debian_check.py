"""Builds the Debian image, boots it and looks at what cloud-init did: `python -m tests.e2e.debian_check`.

Takes about six minutes under emulation, too long for the test suite. Needs root."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from pileus.cli.image_build import build_debian

from .micro_guest import Key, Machine, instance_files, network

BUILT = Path("/var/tmp/pileus-tests/debian")
USER_DATA = "#cloud-config\nruncmd:\n- [touch, /ran]\n"


def check() -> None:
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    image = build_debian(BUILT, say)
    say(f"built, {image.disk.stat().st_size >> 20} MiB")
    with tempfile.TemporaryDirectory() as name, network() as net:
        key = Key(Path(name))
        guest = Machine(net, key, 1, Path(name), image.disk, user="debian", memory_mib=512)
        guest.make_disk("8G")
        guest.make_config_drive(instance_files(guest.uuid, "full", key, USER_DATA))
        guest.start()
        try:
            guest.wait_for_ssh(240)
            say("answers SSH")
            # Each command takes seconds, for Python starts slowly under emulation.
            status = guest.ssh("cloud-init status --wait --long || true", timeout=180)
            assert "status: done" in status, f"{status}\n{guest.console()}"
            say("cloud-init has done its work")
            assert guest.ssh("hostname") == "full\n"
            assert guest.ssh("sudo -n id -u") == "0\n"
            assert int(guest.ssh("df -k / | tail -1").split()[1]) > 7_000_000, (
                "the root filesystem has not grown"
            )
            guest.ssh("test -e /ran")
            assert guest.ssh("systemctl --failed --no-legend") == ""
            guest.qmp("system_powerdown")
            guest.wait_for_exit(90)
            say("powered off by its button: all is well")
        finally:
            guest.close()


if __name__ == "__main__":
    check()
