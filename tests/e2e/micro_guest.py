"""A network that leads nowhere, and guests on it: plain QEMU and plain runc, without Pileus's drivers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pileus.cli.image_build import MicroImage
from pileus.drivers.hypervisor.runc import namespaces
from pileus.lib.oci_config import Container as Configuration
from pileus.lib.oci_config import Limits, oci_config
from pileus.testing.cloud import until

GATEWAY = "10.77.0.1"
NEXT_HOP = "10.77.0.9"
"""What the classless route leads over, instead of the gateway."""
PREFIX6 = "fd77::"
MTU = 1442


def run(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


class Network:
    """A namespace with a bridge, DHCP, router advertisements and a metadata service, and no way out.

    With `only6` there is no IPv4, and IPv6 addresses come by DHCP alone."""

    def __init__(self, directory: Path, only6: bool = False) -> None:
        self.directory = directory
        self.only6 = only6
        self.name = f"micro-{uuid.uuid4().hex[:8]}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.metadata = directory / "metadata"
        self.metadata.mkdir()
        (self.metadata / "answers").write_text("yes")

    def inside(self, *argv: str | Path) -> list[str]:
        return ["ip", "netns", "exec", self.name, *(str(word) for word in argv)]

    def open(self) -> None:
        run("ip", "netns", "add", self.name)
        ip = ("ip", "-netns", self.name)
        run(*ip, "link", "set", "lo", "up")
        run(*ip, "link", "add", "br0", "type", "bridge")
        for address in (
            f"{GATEWAY}/24",
            f"{NEXT_HOP}/24",
            "169.254.169.254/32",
            f"{PREFIX6}1/64",
            "fe80::a9fe:a9fe/64",
        ):
            run(*ip, "address", "add", address, "dev", "br0", *(["nodad"] if ":" in address else []))
        run(*ip, "link", "set", "br0", "up", "mtu", str(MTU))
        ranges4 = () if self.only6 else ("--dhcp-range=10.77.0.10,10.77.0.99,255.255.255.0,1h",)
        mode6 = "64" if self.only6 else "slaac,64"
        self._spawn(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0",
            "--user=root", "--log-dhcp", "--no-ping", "--enable-ra",
            "--interface=br0", "--except-interface=lo", f"--dhcp-leasefile={self.directory}/leases",
            *ranges4, f"--dhcp-option=option:mtu,{MTU}",
            "--dhcp-option=option:dns-server,10.77.0.53", "--dhcp-option=option:domain-name,test.example",
            f"--dhcp-option=option:classless-static-route,169.254.169.254/32,{GATEWAY},0.0.0.0/0,{NEXT_HOP}",
            f"--dhcp-range={PREFIX6}1000,{PREFIX6}1fff,{mode6},1h",
            f"--dhcp-option=option6:dns-server,[{PREFIX6}53]",
        )  # fmt: skip
        self._spawn(sys.executable, str(Path(__file__).with_name("metadata_files.py")), str(self.metadata))

        request = self.inside("curl", "-s", f"http://{GATEWAY}/answers")
        until(
            lambda: subprocess.run(request, capture_output=True, check=False).stdout == b"yes", 60, "metadata"
        )

    def _spawn(self, *argv: str) -> None:
        log = (self.directory / f"{Path(argv[0]).name}.log").open("wb")
        self._processes.append(subprocess.Popen(self.inside(*argv), stdout=log, stderr=log))

    def tap(self, name: str) -> None:
        run("ip", "-netns", self.name, "tuntap", "add", "dev", name, "mode", "tap")
        run("ip", "-netns", self.name, "link", "set", name, "master", "br0", "up", "mtu", str(MTU))

    def address_of(self, mac: str) -> str | None:
        """The IPv4 address that DHCP gave to this MAC."""
        leases = self.directory / "leases"
        for line in leases.read_text().splitlines() if leases.exists() else ():
            words = line.split()
            if len(words) >= 3 and words[1] == mac:
                return words[2]
        return None

    def address6(self) -> str | None:
        """The only IPv6 address that DHCP has given so far."""
        leases = self.directory / "leases"
        words = leases.read_text().split() if leases.exists() else []
        return next((word for word in words if word.startswith(PREFIX6)), None)

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


@contextlib.contextmanager
def network(only6: bool = False) -> Iterator[Network]:
    with tempfile.TemporaryDirectory(prefix="micro-net-") as directory:
        net = Network(Path(directory), only6)
        try:
            net.open()
            yield net
        finally:
            net.close()


class Key:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "key"
        run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", self.path)
        self.public = self.path.with_suffix(".pub").read_text()


def instance_files(instance_id: str, name: str, key: Key, user_data: str | None = None) -> dict[str, str]:
    """What a cloud tells an instance about itself, as files below a metadata tree."""
    metadata = {
        "uuid": instance_id,
        "name": name,
        "hostname": f"{name}.novalocal",
        "public_keys": {"my/\N{LATIN SMALL LETTER E WITH ACUTE} key": key.public},
        "files": [{"path": "/etc/told/by the cloud", "content_path": "/content/0000"}],
        "random_seed": "x" * 700,
    }
    files = {
        "openstack/latest/meta_data.json": json.dumps(metadata),
        "openstack/content/0000": "some content\n",
    }
    if user_data is not None:
        files["openstack/latest/user_data"] = user_data
    return files


def write_files(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Guest:
    """One guest on the network, reached by SSH from inside it."""

    def __init__(self, net: Network, key: Key, number: int, user: str = "cirros") -> None:
        self.net = net
        self.user = user
        self.key = key
        self.mac = f"fa:16:3e:77:00:{number:02x}"
        self.address: str | None = None

    def ssh(self, command: str, timeout: float = 60) -> str:
        done = self._ssh(command, timeout)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _ssh(self, command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=3",
        )
        return subprocess.run(
            self.net.inside(
                "ssh", "-n", "-F", "none", "-i", self.key.path, "-o", "BatchMode=yes",
                *(word for option in options for word in ("-o", option)),
                f"{self.user}@{self.address}", command,
            ),
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip

    def wait_for_ssh(self, seconds: float) -> None:
        def answers() -> bool:
            self.address = self.address or self.net.address_of(self.mac)
            try:
                return self.address is not None and self._ssh("true", 60).returncode == 0
            except subprocess.TimeoutExpired:  # it took the connection, and is slow
                return False

        until(answers, seconds, f"SSH; its console says:\n{self.console()}")

    def console(self) -> str:
        raise NotImplementedError


class Machine(Guest):
    """A virtual machine, by a bare QEMU command line. `image` is its disk's, a qcow2 file."""

    def __init__(
        self,
        net: Network,
        key: Key,
        number: int,
        directory: Path,
        image: Path,
        *,
        user: str = "cirros",
        memory_mib: int = 128,
    ) -> None:
        super().__init__(net, key, number, user)
        self.directory = directory
        self.image = image
        self.memory_mib = memory_mib
        self.uuid = str(uuid.uuid4())
        self.tap = f"tap{number}"
        self.board = "pc,hpet=off"
        self.arguments: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        net.tap(self.tap)

    def make_disk(self, size: str) -> None:
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.image, "-F", "qcow2", self.disk, size)
        self.arguments += ["-drive", f"file={self.disk},if=virtio,format=qcow2"]

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    def make_config_drive(self, files: dict[str, str]) -> None:
        write_files(self.directory / "drive", files)
        iso = self.directory / "drive.iso"
        run(
            "genisoimage",
            "-quiet",
            "-volid",
            "config-2",
            "-joliet",
            "-rock",
            "-o",
            iso,
            self.directory / "drive",
        )
        self.arguments += ["-drive", f"file={iso},if=virtio,format=raw,readonly=on"]

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.net.inside(
                "qemu-system-x86_64", "-accel", "tcg", "-machine", self.board, "-cpu", "max,la57=off",
                "-m", str(self.memory_mib), "-nodefaults", "-display", "none", "-uuid", self.uuid,
                "-serial", f"file:{self.directory}/console",
                "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off",
                "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
                "-netdev", f"tap,id=net0,ifname={self.tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=net0,mac={self.mac},romfile=", *self.arguments,
            ),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of QEMU, which `ip netns exec` has become."""
        assert self._process is not None
        return self._process.pid

    def qmp(self, command: str, **arguments: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.directory / "qmp"))
            stream = connection.makefile("rw")
            stream.readline()
            for execute, words in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": execute, "arguments": words}) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
                assert "return" in answer, answer
            return answer["return"]

    def wait_for_exit(self, seconds: float) -> None:
        assert self._process is not None
        self._process.wait(seconds)

    def console(self) -> str:
        path = self.directory / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Container(Guest):
    """A container by plain runc, in a user namespace, with a terminal as its console."""

    def __init__(self, net: Network, key: Key, number: int, directory: Path, image: MicroImage) -> None:
        super().__init__(net, key, number)
        self.directory = directory
        self.id = f"micro-test-{uuid.uuid4().hex[:8]}"
        self.rootfs = directory / "rootfs"
        self.rootfs.mkdir()
        self._console = b""
        run("tar", "-C", self.rootfs, "--numeric-owner", "-xpf", image.rootfs)

    def start(self, files: dict[str, str]) -> None:
        write_files(self.rootfs / "config-drive", files)
        namespaces.make(self.directory, 0, 65536)
        config = oci_config(
            Configuration(
                hostname="unnamed",
                init=("/sbin/init",),
                root=str(self.rootfs),
                first_id=0,
                user_namespace=str(self.directory / namespaces.USER),
                network_namespace=str(self.directory / namespaces.NETWORK),
                cgroup=f"/{self.id}",
                limits=Limits(vcpus=1, memory_mib=128, pids=256, open_files=1024),
            )
        )
        (self.directory / "config.json").write_text(json.dumps(config))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.directory / "console.sock"))
            listener.listen()
            run(
                "runc", "create", "--bundle", self.directory, "--pid-file", self.directory / "pid",
                "--console-socket", self.directory / "console.sock", self.id,
            )  # fmt: skip
            connection, _ = listener.accept()
            with connection:
                _, (self._terminal, *_), _, _ = socket.recv_fds(connection, 4096, 1)
        threading.Thread(target=self._read_console, daemon=True).start()
        pid = (self.directory / "pid").read_text()
        outside, inside = f"v{self.id[-8:]}", f"w{self.id[-8:]}"
        ip = ("ip", "-netns", self.net.name)
        run(
            *ip,
            "link",
            "add",
            outside,
            "mtu",
            str(MTU),
            "type",
            "veth",
            "peer",
            "name",
            inside,
            "address",
            self.mac,
        )
        run(*ip, "link", "set", outside, "master", "br0", "up")
        run(*ip, "link", "set", inside, "netns", pid)
        run("nsenter", "--net", "--target", pid, "ip", "link", "set", inside, "name", "eth0")
        run("runc", "start", self.id)

    def _read_console(self) -> None:
        with contextlib.suppress(OSError):  # the other end is gone
            while data := os.read(self._terminal, 4096):
                self._console += data

    def console(self) -> str:
        return self._console.decode(errors="replace")

    def signal(self, name: str) -> None:
        run("runc", "kill", self.id, name)

    def is_running(self) -> bool:
        return bool(json.loads(run("runc", "state", self.id))["status"] == "running")

    def close(self) -> None:
        subprocess.run(["runc", "delete", "--force", self.id], check=False, capture_output=True)
        namespaces.release(self.directory)
