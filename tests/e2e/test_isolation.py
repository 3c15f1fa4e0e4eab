"""Two projects on the same addresses, a closed guest, a guest that lies, and the host beside them: real packets."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from openstack.compute.v2.server import Server
from openstack.exceptions import ForbiddenException, NotFoundException

from pileus.testing.cloud import Cloud, until
from pileus.testing.project import Project, Shell

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(400)]

CIDR = "10.55.0.0/24"
CIDR6 = "fd00:55::/64"
PEER = "10.55.0.20"
PORT = 8000
REACHES = """reaches() { for n in 1 2 3 4 5; do ping -c 1 -W 3 $1 > /dev/null && return; done; false; }
"""
"""In a guest: one packet may get lost on its way, or be late."""
ANSWER_NAME = """#!/bin/sh
mkdir /tmp/www && hostname > /tmp/www/name && httpd -p 8000 -h /tmp/www
"""
SAY_OUT = f"""#!/bin/sh
for try in $(seq 30); do
    curl -s -m 5 http://{PEER}:{PORT}/name > /tmp/name && break
    usleep 500000
done
sed 's/^/reached: /' /tmp/name
echo "reaching out is over"
"""


class Site(NamedTuple):
    """Project A with `asker`, `peer` and `closed`; project B with `stranger`, on the address of `peer`."""

    a: Project
    b: Project
    asker: Server
    peer: Server
    closed: Server
    stranger: Server
    shell: Shell
    """In `asker`."""


@pytest.fixture(scope="module")
def site(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Site:
    directory = tmp_path_factory.mktemp("isolation")
    projects = [Project.create(cloud, name, directory) for name in ("isolated-a", "isolated-b")]
    networks = []
    for project in projects:
        networks.append(project.network("same", CIDR, CIDR6, router=project.router("router")))
        project.security_group("open", "icmp", "tcp")
    a, b = projects

    def boot(project: Project, name: str, group: str, script: str, address: str) -> Server:
        api = project.connection.network
        network = networks[projects.index(project)]
        (subnet,) = api.subnets(network_id=network, ip_version=4)
        fixed = [{"subnet_id": subnet.id, "ip_address": address}]
        groups = [api.find_security_group(group, ignore_missing=False).id]
        port = api.create_port(network_id=network, fixed_ips=fixed, security_groups=groups)
        return project.boot(name, "container", [{"port": port.id}], user_data=script, wait=False)

    servers = [
        boot(a, "peer", "open", ANSWER_NAME, PEER),
        boot(b, "stranger", "open", ANSWER_NAME, PEER),
        boot(b, "other-stranger", "open", ANSWER_NAME, "10.55.0.30"),
        boot(a, "asker", "open", ANSWER_NAME, "10.55.0.10"),
        boot(a, "closed", "default", SAY_OUT, "10.55.0.40"),
    ]
    peer, stranger, _, asker, closed = (
        (a if n in (0, 3, 4) else b).active(server.id) for n, server in enumerate(servers)
    )
    return Site(a, b, asker, peer, closed, stranger, a.shell(asker))


def test_each_project_meets_its_own_guests_on_the_same_addresses(site: Site) -> None:
    ask = f"curl -s -m 5 http://{PEER}:{PORT}/name"
    assert until(lambda: site.shell.attempt(ask)[1].strip(), 60, "the peer to answer") == "peer"
    # Only the other project has a guest there.
    status, output = site.shell.attempt(
        f"ping -c 1 -W 2 10.55.0.30; curl -s -m 2 http://10.55.0.30:{PORT}/name"
    )
    assert status != 0
    assert "stranger" not in output
    assert "1 received" not in output
    ask, theirs = f"curl -s -m 5 http://10.55.0.30:{PORT}/name", site.b.shell(site.stranger)
    assert until(lambda: theirs.attempt(ask)[1].strip(), 60, "the other") == "other-stranger"


def test_a_floating_ip_is_no_way_around_the_security_group(site: Site) -> None:
    address = site.a.floating_ip(site.closed)
    assert _refuses(address, 22)
    console = site.a.connection.compute.get_server_console_output
    until(
        lambda: "answers SSH" in console(site.closed.id)["output"],
        60,
        "the closed guest's SSH server to run",
    )
    assert _refuses(address, 22)


def test_the_default_group_lets_nothing_in_and_all_out(site: Site) -> None:
    console = site.a.connection.compute.get_server_console_output
    said = until(
        lambda: (text := console(site.closed.id)["output"]) and "reaching out is over" in text and text,
        60,
        "the closed guest to reach out",
    )
    assert "reached: peer" in said
    assert site.shell.attempt("ping -c 1 -W 2 10.55.0.40")[0] != 0
    for port in (22, PORT):
        assert site.shell.attempt(f"curl -s -m 2 http://10.55.0.40:{port}/")[0] == 28


def test_a_project_sees_nothing_of_another(site: Site) -> None:
    theirs = site.b.connection
    network = site.a.connection.network.find_network("same", ignore_missing=False)
    port = next(site.a.connection.network.ports(device_id=site.asker.id))
    (router,) = site.a.connection.network.routers()
    (group,) = site.a.connection.network.security_groups(name="open")
    floating = next(site.a.connection.network.ips(port_id=port.id))
    for kind, identity in (
        ("network", network.id),
        ("port", port.id),
        ("router", router.id),
        ("security_group", group.id),
        ("ip", floating.id),
    ):
        with pytest.raises(NotFoundException):
            getattr(theirs.network, f"get_{kind}")(identity)
        with pytest.raises(NotFoundException):
            getattr(theirs.network, f"delete_{kind}")(identity, ignore_missing=False)
        listed = getattr(theirs.network, f"{kind}s")()
        assert identity not in {each.id for each in listed}
    assert {server.name for server in theirs.compute.servers()} == {"stranger", "other-stranger"}
    for act in (
        theirs.compute.get_server,
        theirs.compute.start_server,
        theirs.compute.get_server_console_output,
        lambda server_id: theirs.compute.delete_server(server_id, ignore_missing=False),
    ):
        with pytest.raises(NotFoundException):
            act(site.asker.id)
    with pytest.raises((NotFoundException, ForbiddenException)):
        theirs.network.create_port(network_id=network.id)
    with pytest.raises(ForbiddenException):
        list(theirs.compute.servers(all_projects=True))
    assert {server.name for server in site.a.connection.compute.servers()} == {"asker", "peer", "closed"}


def test_a_guest_speaks_for_itself_alone(site: Site) -> None:
    """Another address on its own card, and another card's address on the wire: neither gets a word across, until
    the port's owner says that it may."""
    script = f"""{REACHES}
        reaches {PEER} && echo itself
        sudo ip address add 10.55.0.77/24 dev eth0
        ping -c 1 -W 2 -I 10.55.0.77 {PEER} > /dev/null && echo another address
        sudo ip address del 10.55.0.77/24 dev eth0
        sudo ip link add spoof link eth0 address fa:16:3e:00:00:77 type macvlan mode bridge
        sudo ip link set spoof up
        sudo ip address add 10.55.0.78/24 dev spoof
        ping -c 1 -W 2 -I spoof {PEER} > /dev/null && echo another card
        sudo ip link del spoof
        reaches {PEER} && echo itself
        """
    assert site.shell.attempt(script)[1].splitlines() == ["itself", "itself"]
    api = site.a.connection.network
    (port,) = api.ports(device_id=site.asker.id)
    groups = port.security_group_ids
    api.update_port(port, port_security_enabled=False, security_groups=[])
    try:
        allowed = ["itself", "another address", "another card", "itself"]
        until(
            lambda: site.shell.attempt(script)[1].splitlines() == allowed,
            60,
            "the port to let all pass",
        )
    finally:
        api.update_port(port, port_security_enabled=True, security_groups=groups)


def test_metadata_tells_each_guest_of_itself_alone(site: Site) -> None:
    ask = "curl -s -m 30 {} http://169.254.169.254/{}"
    own = json.loads(site.shell.run(ask.format("", "openstack/latest/meta_data.json")))
    assert (own["uuid"], own["project_id"]) == (site.asker.id, site.a.id)
    claims = f"-H 'X-Forwarded-For: {PEER}' -H 'X-Instance-ID: {site.peer.id}' -H 'X-Tenant-ID: {site.b.id}'"
    lied = json.loads(site.shell.run(ask.format(claims, "openstack/latest/meta_data.json")))
    assert lied == own
    assert site.shell.run(ask.format(claims, "latest/meta-data/hostname")).partition(".")[0] == "asker"
    # Two guests on one address: the network tells them apart.
    for project, server in ((site.a, site.peer), (site.b, site.stranger)):
        shell = Shell(_floating_ip_of(project, server), project.key_file)
        told = json.loads(shell.run(ask.format("", "openstack/latest/meta_data.json")))
        assert told["uuid"] == server.id


def test_a_guest_reaches_nothing_of_the_host(cloud: Cloud, site: Site) -> None:
    """Not over TCP, and not with a single packet: a datagram needs no answer."""
    links = cloud.external_addresses
    addresses = _host_addresses(links)
    assert set(links) <= set(addresses)
    with _listener() as (port, callers):
        for address in addresses:
            with socket.create_connection((address, port), timeout=30):
                pass
            with socket.socket(
                socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
            ) as datagrams:
                datagrams.sendto(b"?", (address, port))
        until(lambda: len(callers) == 2 * len(addresses), 60, "the host to reach itself")
        targets = " ".join(addresses)
        script = f"""{REACHES}
            for host in {targets}; do
                case $host in *:*) url="[$host]";; *) url=$host;; esac
                (curl -s -g -m 2 "http://$url:{port}/" > /dev/null; case $? in 7|28) ;; *) echo "reached $host" ;; esac) &
                (curl -s -g -m 2 "http://$url:{cloud.port}/" > /dev/null && echo "reached the API at $host") &
                (curl -s -g -m 2 "tftp://$url:{port}/guest" > /dev/null) &
            done
            (curl -s -m 2 http://169.254.169.254:{port}/ > /dev/null && echo reached the host by the metadata address) &
            wait
            reaches {links[0]} && echo gateway answers
            ping -6 -c 1 -W 2 {links[1]} > /dev/null && echo the host answers to addresses that it has no way to
            """
        assert site.shell.attempt(script)[1].splitlines() == ["gateway answers"]
        assert len(callers) == 2 * len(addresses)


@contextlib.contextmanager
def _listener() -> Iterator[tuple[int, list[str]]]:
    """A server on every address of this host, TCP and UDP, and who called it."""
    callers: list[str] = []
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams,
    ):
        port: int = server.getsockname()[1]
        datagrams.bind(("::", port))

        def accept() -> None:
            with contextlib.suppress(OSError):  # it was shut down
                while True:
                    connection, (address, *_) = server.accept()
                    callers.append(f"{address} TCP")
                    connection.close()

        def receive() -> None:
            while True:
                data, (address, *_) = datagrams.recvfrom(100)
                if data == b"end":
                    return
                callers.append(f"{address} UDP")

        threads = [threading.Thread(target=work, daemon=True) for work in (accept, receive)]
        for thread in threads:
            thread.start()
        yield port, callers
        server.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("::1", port))
        for thread in threads:
            thread.join()


def _host_addresses(links: list[str]) -> list[str]:
    """This host's, on its own links and on this cloud's; other clouds' may go away at any time."""
    shown = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
    return [
        info["local"]
        for link in json.loads(shown)
        for info in link["addr_info"]
        if info["scope"] == "global" and (info["local"] in links or not link["ifname"].startswith("pil-"))
    ]


def _refuses(address: str, port: int) -> bool:
    """Whether nobody answers there: silence, as a closed security group has it."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return False
    except TimeoutError:
        return True


def _floating_ip_of(project: Project, server: Server) -> str:
    addresses = project.connection.compute.get_server(server.id).addresses["same"]
    found = [each["addr"] for each in addresses if each["OS-EXT-IPS:type"] == "floating"]
    return str(found[0]) if found else project.floating_ip(server)
