"""A server's life with the stock pieces, as machine and as container: all that a guest is told, and all that it
goes through."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openstack.compute.v2.server import Server

from pileus.testing.cloud import Cloud, holds, until
from pileus.testing.project import Project, Shell

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(400)]

KINDS = ("machine", "container")
USER_DATA = "#!/bin/sh\necho said by user data\necho once >> /var/lib/runs\n"


class Life:
    """One server of each kind on two networks, the first with IPv4 and IPv6."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.front = project.network("front", "10.60.0.0/24", "fd00:60::/64", router=project.router("router"))
        self.back = project.network("back", "10.61.0.0/24")
        project.security_group("open", "icmp", "tcp:22", "ipv6-icmp")
        with ThreadPoolExecutor() as pool:
            self.servers = dict(zip(KINDS, pool.map(self._boot, KINDS), strict=True))
        self.shells = {kind: project.shell(server) for kind, server in self.servers.items()}

    def _boot(self, kind: str) -> Server:
        return self.project.boot(
            f"life-{kind}",
            kind,
            [{"uuid": self.front}, {"uuid": self.back}],
            config_drive=True,
            user_data=USER_DATA,
            metadata={"purpose": "test"},
            security_groups=[{"name": "open"}],
        )

    def act(self, kind: str, action: str, **arguments: Any) -> None:
        """An action of the compute API, and its end: ACTIVE, or SHUTOFF for `stop`."""
        server = self.servers[kind]
        getattr(self.project.connection.compute, f"{action}_server")(server.id, **arguments)
        status = "SHUTOFF" if action == "stop" else "ACTIVE"

        def settled() -> bool:
            found = self.project.connection.compute.get_server(server.id)
            assert found.status != "ERROR", found.fault
            return bool(found.status == status and found.task_state is None)

        until(settled, 90, f"{action} of the {kind} to end")


@pytest.fixture(scope="module")
def life(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(Project.create(cloud, "life", tmp_path_factory.mktemp("life")))


def boot_of(shell: Shell, kind: str) -> str:
    """Changes when the guest is started anew: the kernel's boot, or when the container's init began."""
    if kind == "machine":
        return shell.run("cat /proc/sys/kernel/random/boot_id")
    return shell.run("cut -d ' ' -f 22 /proc/1/stat")


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_is_what_the_request_said(life: Life, kind: str) -> None:
    server, shell = life.servers[kind], life.shells[kind]
    until(lambda: "once" in shell.attempt("cat /var/lib/runs")[1], 60, "user data to run")
    told = shell.run(
        """
        hostname
        grep -c . ~/.ssh/authorized_keys
        cat /var/lib/runs
        """
    ).split()
    assert told == [f"life-{kind}", "1", "once"]
    console = life.project.connection.compute.get_server_console_output
    until(lambda: "said by user data" in console(server.id)["output"], 60, "it to be on the console")
    last_lines = console(server.id, length=2)["output"]
    assert len(last_lines.splitlines()) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_both_cards_have_their_addresses(life: Life, kind: str) -> None:
    server, shell = life.servers[kind], life.shells[kind]
    ports = {port.id: port for port in life.project.connection.network.ports(device_id=server.id)}
    assert len(ports) == 2
    expected = [
        (port.mac_address, ip["ip_address"], 1500) for port in ports.values() for ip in port.fixed_ips
    ]
    assert len(expected) == 3

    def has_all() -> None:
        held = [
            (link["address"], info["local"], link["mtu"])
            for link in json.loads(shell.run("ip -json address"))
            for info in link["addr_info"]
            if info["scope"] == "global"
        ]
        assert sorted(held) == sorted(expected)

    holds(has_all, 60)
    # The first network's router is the way out.
    assert "via 10.60.0.1 " in shell.run("ip route show default") + " "


def test_guests_reach_each_other_on_every_address(life: Life) -> None:
    for here, there in (KINDS, KINDS[::-1]):
        targets = [
            life.project.fixed_ip(life.servers[there], version, network)
            for version, network in ((4, "front"), (6, "front"), (4, "back"))
        ]
        assert [target for target in targets if not life.shells[here].reaches(target)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_config_drive_and_both_forms_of_metadata_agree(life: Life, kind: str) -> None:
    server, shell = life.servers[kind], life.shells[kind]
    mounted = "/config-drive" if kind == "container" else "/mnt"
    drive = shell.run(
        f"""
        sudo test -d {mounted}/openstack || sudo mount -t iso9660 -o ro LABEL=config-2 {mounted} || exit 1
        sudo cat {mounted}/openstack/latest/meta_data.json; echo; sudo cat {mounted}/openstack/latest/user_data
        """
    )
    on_drive, _, user_data = drive.partition("\n")
    assert user_data == USER_DATA
    url = "http://169.254.169.254"
    ask = f"curl -s -m 30 {url}/latest/meta-data/public-ipv4"
    until(lambda: shell.run(ask) == shell.address, 60, "its floating IP to be known to it")
    openstack, network, ec2 = shell.run(
        f"""
        curl -s -m 30 {url}/openstack/latest/meta_data.json; echo
        curl -s -m 30 {url}/openstack/latest/network_data.json; echo
        for name in hostname local-ipv4 public-ipv4 public-keys/0/openssh-key; do
            curl -s -m 30 {url}/latest/meta-data/$name; echo
        done
        """
    ).split("\n", 2)
    told = json.loads(openstack)
    assert told["uuid"] == server.id
    assert told["meta"] == {"purpose": "test"}
    written = json.loads(on_drive)
    assert {key: written[key] for key in ("uuid", "name", "hostname", "public_keys")} == {
        key: told[key] for key in ("uuid", "name", "hostname", "public_keys")
    }
    ports = list(life.project.connection.network.ports(device_id=server.id))
    assert {link["ethernet_mac_address"] for link in json.loads(network)["links"]} == {
        p.mac_address for p in ports
    }
    name, local, public, key = ec2.splitlines()[:4]
    assert name.partition(".")[0] == f"life-{kind}"
    assert local == life.project.fixed_ip(server, network="front")
    assert public == life.shells[kind].address
    assert key.split()[:2] == life.project.key_file.with_suffix(".pub").read_text().split()[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_stop_start_and_both_reboots(life: Life, kind: str) -> None:
    """The disk stays, user data runs once only, and each time the guest has begun anew."""
    shell = life.shells[kind]
    shell.run("echo kept > ~/kept; sync")
    boots = [boot_of(shell, kind)]
    for action, arguments in (
        ("reboot", {"reboot_type": "SOFT"}),
        ("reboot", {"reboot_type": "HARD"}),
        ("stop", {}),
        ("start", {}),
    ):
        life.act(kind, action, **arguments)
        if action != "stop":
            until(lambda: boot_of(shell, kind) not in boots, 90, f"the {kind} to begin anew")
            boots.append(boot_of(shell, kind))
    assert shell.run("cat ~/kept /var/lib/runs; hostname").split() == ["kept", "once", f"life-{kind}"]
