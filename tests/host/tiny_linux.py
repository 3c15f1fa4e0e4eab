"""The smallest Linux guest that is of use to a test: Debian's cloud kernel and busybox in a ramdisk.

It reaches its init in about two seconds under emulation, says what it found, and heeds the power button."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import tempfile
from pathlib import Path

READY = "tiny-linux: ready"
COMMAND_LINE = "console=ttyS0 panic=0 no_timer_check"

_MODULES = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/cdrom/cdrom.ko",
    "fs/isofs/isofs.ko",
    "drivers/input/evdev.ko",
    "drivers/acpi/button.ko",
    "drivers/misc/pvpanic/pvpanic.ko",
    "drivers/misc/pvpanic/pvpanic-mmio.ko",
)

_INIT = f"""#!/bin/busybox sh
PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
for module in {" ".join(Path(module).name for module in _MODULES)}; do busybox insmod /modules/$module; done
for disk in /sys/block/vd*; do echo "disk $(busybox basename $disk) $(busybox cat $disk/size)"; done
tell_cards() {{
    for card in /sys/class/net/eth*; do
        [ -e "$card" ] || continue
        address=$(busybox cat $card/address)
        case $cards in *$address*) continue ;; esac
        cards="$cards $address"
        echo "card $(busybox basename $card) $address $(busybox cat $card/mtu)"
        for word in $(busybox cat /proc/cmdline); do case $word in
            tiny.address=*)
                busybox ip address add ${{word#*=}} dev $(busybox basename $card)
                busybox ip link set $(busybox basename $card) up ;;
        esac; done
    done
    for address in $cards; do
        busybox grep -q $address /sys/class/net/eth*/address 2>/dev/null && continue
        cards=$(echo $cards | busybox sed "s/$address//")
        echo "card gone $address"
    done
}}
tell_cards
if busybox mount -t iso9660 -o ro /dev/vdb /mnt 2>/dev/null; then
    echo "config drive: $(busybox cat /mnt/openstack/latest/meta_data.json)"
fi
for word in $(busybox cat /proc/cmdline); do case $word in
    tiny.address=*)
        (while :; do busybox nc -l -p 7 -e busybox cat; done) &
        until busybox grep -q ":0007 .* 0A " /proc/net/tcp*; do busybox sleep 0.02; done ;;
    tiny.panic) echo c > /proc/sysrq-trigger ;;
esac; done
# Opened before it is said: a press that nobody has open is lost.
exec 3< /dev/input/event0 4< /dev/input/event1
echo "{READY}"
(busybox dd bs=24 count=1 <&3 > /dev/null 2>&1; busybox poweroff -f) &
(busybox dd bs=24 count=1 <&4 > /dev/null 2>&1; busybox poweroff -f) &
while :; do busybox sleep 1; tell_cards; done
"""


class TinyLinux:
    """Its kernel and ramdisk, made once from Debian's package and kept in the user's cache."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pileus-tests")
        cache.mkdir(parents=True, exist_ok=True)
        tree = _unpacked_kernel(cache)
        self.kernel = next((tree / "boot").glob("vmlinuz-*")).read_bytes()
        self.ramdisk = gzip.compress(_archive(next((tree / "lib/modules").iterdir())), 1)


def _unpacked_kernel(cache: Path) -> Path:
    show = subprocess.run(
        ["apt-cache", "show", "linux-image-cloud-amd64"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"^Depends: (linux-image-\S+)", show, re.MULTILINE)
    assert found, "apt knows no linux-image-cloud-amd64: run apt-get update"
    tree = cache / found[1]
    if not tree.exists():
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            subprocess.run(
                ["apt-get", "download", "-q", found[1]], cwd=directory, check=True, capture_output=True
            )
            (package,) = Path(directory).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, f"{directory}/tree"], check=True)
            Path(directory, "tree").rename(tree)
    return tree


def _archive(modules: Path) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("bin", "dev", "proc", "sys", "mnt", "modules"):
            (root / name).mkdir()
        (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
        (root / "bin/busybox").chmod(0o755)
        (root / "init").write_text(_INIT)
        (root / "init").chmod(0o755)
        for module in _MODULES:
            (root / "modules" / Path(module).name).write_bytes((modules / "kernel" / module).read_bytes())
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        command = ["cpio", "--create", "--format=newc", "--quiet"]
        return subprocess.run(command, cwd=root, input=names.encode(), check=True, capture_output=True).stdout
