"""A private Open vSwitch with the userspace datapath, in a network namespace of its own, for tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pileus.services.compute.driver import Nic, Vif

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVSwitch(msgspec.Struct, frozen=True):
    netns: str
    ovsdb: str
    bridge: str = "br-int"

    @property
    def vif(self) -> Vif:
        return Vif(type="ovs", details={"netns": self.netns, "bridge": self.bridge, "ovsdb": self.ovsdb})

    def new_nic(self) -> Nic:
        port_id = str(uuid.uuid4())
        mac = "fa:16:3e:" + ":".join(port_id[i : i + 2] for i in (0, 2, 4))
        return Nic(port_id=port_id, mac=mac, mtu=1442, vif=self.vif)

    def vsctl(self, *arguments: str) -> str:
        command = ["ovs-vsctl", "--timeout=60", f"--db=unix:{self.ovsdb}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ports(self) -> list[str]:
        return self.vsctl("list-ports", self.bridge).split()

    def links(self) -> list[dict[str, Any]]:
        command = ["ip", "-n", self.netns, "-j", "-d", "link", "show"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found: list[dict[str, Any]] = msgspec.json.decode(output)
        return found

    def link(self, name: str) -> dict[str, Any] | None:
        return next((link for link in self.links() if link["ifname"] == name), None)


@contextlib.contextmanager
def network_namespace() -> Iterator[str]:
    name = f"pt-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextlib.contextmanager
def open_vswitch(directory: Path) -> Iterator[OpenVSwitch]:
    socket, database = directory / "db.sock", directory / "conf.db"
    environment = {**os.environ, "OVS_RUNDIR": str(directory), "OVS_DBDIR": str(directory)}
    inside = ["ip", "netns", "exec"]
    with network_namespace() as netns, contextlib.ExitStack() as stack:

        def spawn(*command: str) -> None:
            with open(directory / f"{Path(command[0]).name}.out", "wb") as output:
                process = subprocess.Popen(
                    [*inside, netns, *command], env=environment, stdout=output, stderr=output
                )

            def end() -> None:
                process.terminate()
                process.wait(60)

            stack.callback(end)

        subprocess.run(["ovsdb-tool", "create", str(database), SCHEMA], check=True)
        spawn("ovsdb-server", f"--remote=punix:{socket}", f"--unixctl={directory}/db.ctl", str(database))
        switch = OpenVSwitch(netns=netns, ovsdb=str(socket))
        switch.vsctl("--retry", "--no-wait", "init")
        spawn("ovs-vswitchd", f"--unixctl={directory}/vswitchd.ctl", f"unix:{socket}")
        switch.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
        yield switch
