"""Open vSwitch and OVN of the cloud's own: four daemons in a network namespace under a state directory.

They outlive Pileus and are adopted by the next start, which restarts what has died. Nothing of the host's
own Open vSwitch is used or touched. A daemon is known by the lock it holds on its pid file, which no other
process and no reboot can fake.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pileus.drivers import netns
from pileus.drivers.network.ovn import command, vswitch
from pileus.drivers.process import Process, holder
from pileus.services.network.driver import NetworkError

_SCHEMAS = {
    "conf": "/usr/share/openvswitch/vswitch.ovsschema",
    "nb": "/usr/share/ovn/ovn-nb.ovsschema",
    "sb": "/usr/share/ovn/ovn-sb.ovsschema",
}
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class Daemon(msgspec.Struct, frozen=True):
    """A program that detaches once it is ready, and keeps a locked pid file."""

    name: str
    argv: tuple[str, ...]
    pid_file: Path

    def pid(self) -> int | None:
        """The process that runs it, or None."""
        return holder(self.pid_file)


class Stack:
    """The daemons of one cloud, and the namespaces they and the metadata endpoints live in."""

    def __init__(self, directory: Path, chassis: str, physical_network: str) -> None:
        self.directory = directory.absolute()
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:6]
        self.digest = digest
        """Six hexadecimal digits that tell this cloud's names from those of others on the same machine."""
        self.netns = f"pileus-{digest}"
        self.metadata_netns = f"pileus-{digest}-md"
        self.chassis = chassis
        self.socket = str(self.directory / "db.sock")
        self._physical_network = physical_network
        database, files = f"unix:{self.socket}", [str(self._database(name)) for name in _SCHEMAS]
        self.daemons = (
            self._daemon("ovsdb-server", f"--remote=punix:{self.socket}", *files),
            self._daemon("ovs-vswitchd", database),
            self._daemon("ovn-northd", f"--ovnnb-db={database}", f"--ovnsb-db={database}"),
            self._daemon("ovn-controller", database),
        )

    async def start(self) -> None:
        """Bring up what is not up."""
        if os.geteuid() != 0:
            raise NetworkError("the ovn network engine needs root; run `pileus up --sim` without")
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._has_namespaces():
            await self._begin()
        server, switch, northd, controller = self.daemons
        if server.pid() is None:
            for name in _SCHEMAS:
                await self._ready_database(name)
            await self._spawn(server)
            await self._configure()
        await asyncio.gather(*(self._spawn(each) for each in (switch, northd) if each.pid() is None))
        if controller.pid() is None:
            # After the switch: were its bridge not there yet, it would try again only a second later.
            await self._spawn(controller)

    async def teardown(self) -> None:
        """Stop all and remove the namespaces with every link in them. The northbound database stays."""
        await asyncio.gather(*(self._stop(daemon) for daemon in self.daemons))
        for name in (self.netns, self.metadata_netns):
            await command.remove_netns(name)
        if self.directory.exists():
            for path in self.directory.iterdir():
                if path.name != "nb.db" and path.suffix != ".log":
                    path.unlink()

    def _database(self, name: str) -> Path:
        return self.directory / f"{name}.db"

    def _daemon(self, name: str, *arguments: str) -> Daemon:
        pid_file = self.directory / f"{name}.pid"
        control = () if name == "ovn-controller" else (f"--unixctl={self.directory}/{name}.ctl",)
        logging = ("-vconsole:off", "-vsyslog:off", "-vfile:warn", f"--log-file={self.directory}/{name}.log")
        options = (f"--pidfile={pid_file}", "--detach", "--no-chdir")
        return Daemon(name, (name, *arguments, *control, *logging, *options), pid_file)

    def _environment(self) -> Mapping[str, str]:
        places = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVN_RUNDIR", "OVN_DBDIR", "OVN_LOGDIR")
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {**os.environ, **dict.fromkeys(places, str(self.directory)), "PATH": path}

    def _has_namespaces(self) -> bool:
        mounts = Path("/proc/self/mountinfo").read_text()
        return all(f" {netns.path_of(name)} " in mounts for name in (self.netns, self.metadata_netns))

    async def _begin(self) -> None:
        """After a reboot or a teardown: nothing plugged before is there any more, so forget it."""
        await self.teardown()
        for name in (self.netns, self.metadata_netns):
            await command.add_netns(name)
        await netns.run_in(self.netns, _deafen)
        await netns.run_in(self.metadata_netns, _isolate)

    async def _ready_database(self, name: str) -> None:
        path, schema = str(self._database(name)), _SCHEMAS[name]
        if not _exists(schema):
            raise NetworkError(
                f"{schema} is missing; install Open vSwitch and OVN "
                "(apt-get install openvswitch-switch ovn-central ovn-host)"
            )
        if not _exists(path):
            await command.run("ovsdb-tool", "create", path, schema)
        elif (await command.run("ovsdb-tool", "needs-conversion", path, schema)).strip() == "yes":
            await command.run("ovsdb-tool", "convert", path, schema)

    async def _spawn(self, daemon: Daemon) -> None:
        if shutil.which(daemon.name, path=self._environment()["PATH"]) is None:
            raise NetworkError(
                f"{daemon.name} is not installed (apt-get install openvswitch-switch ovn-central ovn-host)"
            )
        inside = ("nsenter", f"--net={netns.path_of(self.netns)}")
        await command.run(*inside, *daemon.argv, env=self._environment(), timeout=_START_SECONDS)

    async def _stop(self, daemon: Daemon) -> None:
        pid = daemon.pid()
        if pid is None:
            return
        try:
            process = Process(pid)
        except ProcessLookupError:
            return
        try:
            # Asked again: had the daemon died meanwhile, the number could be someone else's.
            if daemon.pid() != pid:
                return
            # The databases are closed in order; the others keep nothing worth a farewell.
            if daemon.name == "ovsdb-server":
                process.send(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.ended.wait(), _STOP_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.kill(), _STOP_SECONDS)
        finally:
            process.release()

    async def _configure(self) -> None:
        database = vswitch.open_database(self.socket)
        try:
            await database.open(_START_SECONDS)
            await vswitch.ensure_settings(
                database,
                {
                    "system-id": self.chassis,
                    "hostname": self.chassis,
                    "ovn-remote": f"unix:{self.socket}",
                    # Beside a local socket no probe finds out more than the socket's end does.
                    "ovn-remote-probe-interval": "0",
                    "ovn-openflow-probe-interval": "0",
                    "ovn-monitor-all": "true",
                    "ovn-encap-type": "geneve",
                    "ovn-encap-ip": "127.0.0.1",
                    "ovn-bridge": vswitch.INTEGRATION,
                    "ovn-bridge-datapath-type": "netdev",
                    "ovn-bridge-mappings": f"{self._physical_network}:{vswitch.EXTERNAL}",
                },
                # One thread each: a laptop's guests need no more, and idle threads cost memory.
                {"n-handler-threads": "1", "n-revalidator-threads": "1"},
            )
            await vswitch.ensure_bridge(database, vswitch.INTEGRATION, "secure")
            await vswitch.ensure_bridge(database, vswitch.EXTERNAL, "standalone")
        finally:
            await database.close()


def _deafen() -> None:
    """The switch's namespace has no address: packets on its links are the switch's business alone, and the
    kernel beside it neither answers nor announces anything on a guest's link."""
    netns.set_sysctl("ipv6/conf/all/disable_ipv6", "1")
    netns.set_sysctl("ipv6/conf/default/disable_ipv6", "1")
    netns.set_sysctl("ipv4/ip_forward", "0")


def _isolate() -> None:
    """The metadata namespace holds the same addresses on the links of many networks, and joins none."""
    netns.set_sysctl("ipv4/ip_forward", "0")
    netns.set_sysctl("ipv6/conf/all/forwarding", "0")
    for scope in ("all", "default"):
        netns.set_sysctl(f"ipv4/conf/{scope}/rp_filter", "0")
        netns.set_sysctl(f"ipv6/conf/{scope}/accept_ra", "0")
    netns.set_sysctl("ipv6/conf/default/addr_gen_mode", "1")
    netns.set_sysctl("ipv6/conf/default/accept_dad", "0")


def _exists(path: str) -> bool:
    return os.path.exists(path)
