"""One project of a cloud, through openstacksdk: what a test makes in it, in a line each."""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.testing.cloud import Cloud, until

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server
    from openstack.connection import Connection

GUEST_USER = "cirros"
"""Of the micro image."""
ACTIVE_SECONDS = 90.0
GONE_SECONDS = 120.0
NETWORK_SECONDS = 60.0
SSH_SECONDS = 90.0


class ServerFailed(AssertionError):
    """A server went to ERROR; the message is its fault."""


class Project:
    """Its owner's connection, and short words for what tests make."""

    def __init__(self, connection: Connection, key_file: Path) -> None:
        self.connection = connection
        self.key_file = key_file
        assert connection.current_project_id is not None
        self.id: str = connection.current_project_id

    @classmethod
    def create(cls, cloud: Cloud, name: str, directory: Path) -> Project:
        """A new project with a member of the same name, its key pair `key` in `directory`."""
        # The SDK types it as either of two versions' proxies.
        identity: Any = cloud.connect().identity
        password = uuid.uuid4().hex
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password=password, domain_id="default")
        role = identity.find_role("member", ignore_missing=False)
        identity.assign_project_role_to_user(project, user, role)
        key_file = directory / f"{name}-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key_file], check=True)
        made = cls(cloud.connect(username=name, password=password, project_name=name), key_file)
        made.connection.compute.create_keypair(
            name="key", public_key=key_file.with_suffix(".pub").read_text()
        )
        return made

    def network(self, name: str, *cidrs: str, router: str | None = None, **values: Any) -> str:
        """The id of a new network with a subnet for each CIDR (IPv6 by SLAAC), all of them on `router`."""
        api = self.connection.network
        network = api.create_network(name=name, **values)
        for cidr in cidrs:
            modes = {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"} if ":" in cidr else {}
            subnet = api.create_subnet(
                network_id=network.id, cidr=cidr, ip_version=6 if modes else 4, **modes
            )
            if router is not None:
                api.add_interface_to_router(router, subnet=subnet.id)
        return str(network.id)

    def router(self, name: str) -> str:
        """The id of a new router with a gateway on the external network."""
        api = self.connection.network
        public = api.find_network("public", ignore_missing=False)
        return str(api.create_router(name=name, external_gateway_info={"network_id": public.id}).id)

    def security_group(self, name: str, *rules: str) -> str:
        """The id of a new group that lets in what the rules name: `icmp`, `tcp:22`, `ipv6-icmp`."""
        api = self.connection.network
        group = api.create_security_group(name=name)
        for rule in rules:
            protocol, _, port = rule.partition(":")
            values: dict[str, Any] = {"ether_type": "IPv6" if protocol.startswith("ipv6") else "IPv4"}
            if port:
                values.update(port_range_min=int(port), port_range_max=int(port))
            api.create_security_group_rule(
                security_group_id=group.id, direction="ingress", protocol=protocol, **values
            )
        return str(group.id)

    def boot(
        self, name: str, image: str, networks: list[dict[str, str]] | str, *, wait: bool = True, **values: Any
    ) -> Server:
        """A server of this image (by name), `m1.nano` unless `flavor` says otherwise, on these networks
        (`[{"uuid": …}, {"port": …}]`), ACTIVE unless `wait` is false. `user_data` is a script."""
        api = self.connection.compute
        flavor = api.find_flavor(values.pop("flavor", "m1.nano"), ignore_missing=False)
        if "user_data" in values:
            values["user_data"] = base64.b64encode(values["user_data"].encode()).decode()
        found = self.connection.image.find_image(image, ignore_missing=False)
        server = api.create_server(
            name=name, image_id=found.id, flavor_id=flavor.id, key_name="key", networks=networks, **values
        )
        return self.active(server.id) if wait else server

    def active(self, server_id: str, seconds: float = ACTIVE_SECONDS) -> Server:
        """The server, once it is ACTIVE; raises ServerFailed where it goes to ERROR."""

        def look() -> Server | None:
            server = self.connection.compute.get_server(server_id)
            if server.status == "ERROR":
                raise ServerFailed(f"{server.name}: {server.fault}")
            return server if server.status == "ACTIVE" else None

        return until(look, seconds, f"server {server_id} to be ACTIVE")

    def delete(self, *server_ids: str, seconds: float = GONE_SECONDS) -> None:
        """Deletes servers and waits until they are gone."""
        for server_id in server_ids:
            self.connection.compute.delete_server(server_id)
        for server_id in server_ids:
            until(
                lambda server_id=server_id: self.connection.compute.find_server(server_id) is None,  # type: ignore[misc]
                seconds,
                f"server {server_id} to be gone",
            )

    def fixed_ip(self, server: Server, version: int = 4, network: str | None = None) -> str:
        """Its first fixed address of that version, on the network of that name if one is given."""
        addresses = self.connection.compute.get_server(server.id).addresses
        return next(
            str(each["addr"])
            for name, found in addresses.items()
            for each in found
            if each["version"] == version and each["OS-EXT-IPS:type"] == "fixed" and network in (None, name)
        )

    def floating_ip(self, server: Server) -> str:
        """A new floating IP of the server's first port, once it works."""
        api = self.connection.network
        public = api.find_network("public", ignore_missing=False)
        first = self.fixed_ip(server)
        port = next(
            port
            for port in api.ports(device_id=server.id)
            if any(ip["ip_address"] == first for ip in port.fixed_ips)
        )
        made = api.create_ip(floating_network_id=public.id, port_id=port.id)
        until(
            lambda: api.get_ip(made.id).status == "ACTIVE",
            NETWORK_SECONDS,
            f"{made.floating_ip_address} to work",
        )
        return str(made.floating_ip_address)

    def shell(self, server: Server, user: str = GUEST_USER) -> Shell:
        """Commands in the server, over SSH to a new floating IP."""
        return Shell(self.floating_ip(server), self.key_file, user)


class CommandFailed(AssertionError):
    """A command in a guest ended with another status than 0; the message has its output."""


class Shell:
    """Commands in a guest, over SSH from this host."""

    def __init__(self, address: str, key_file: Path, user: str = GUEST_USER) -> None:
        self.address = address
        self._argv = ["ssh", "-i", str(key_file)]
        for option in (
            *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
            *("BatchMode=yes", "ConnectTimeout=3", "IdentitiesOnly=yes", "ServerAliveInterval=5"),
        ):
            self._argv += ["-o", option]
        self._argv.append(f"{user}@{address}")

    def run(self, script: str, *, seconds: float = SSH_SECONDS) -> str:
        """What the script prints. Tries until the guest lets us in; raises AssertionError when the time is over,
        and CommandFailed when the script fails."""
        status, output = self.attempt(script, seconds=seconds)
        if status:
            raise CommandFailed(f"{script}\nended with {status}:\n{output}")
        return output

    def reaches(self, address: str, *, tries: int = 20) -> bool:
        """Whether the address answers the guest's ping, at one of so many tries of three seconds."""
        ping = f"ping -c 1 -W 3 {address} > /dev/null"
        return self.attempt(f"for n in $(seq {tries}); do {ping} && exit; done; exit 1")[0] == 0

    def attempt(self, script: str, *, seconds: float = SSH_SECONDS) -> tuple[int, str]:
        """Exit status and output of a script, which may fail."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                done = subprocess.run(
                    [*self._argv, script],
                    capture_output=True,
                    text=True,
                    timeout=max(1.0, left),
                    stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired as error:
                raise AssertionError(
                    f"{self.address} did not answer within {seconds:g} s: {error.stderr!r}"
                ) from error
            # 255 is ssh's own: no connection, or not let in.
            if done.returncode != 255:
                return done.returncode, done.stdout + done.stderr
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.address} did not let us in within {seconds:g} s: {done.stderr.strip()}"
                )
            time.sleep(0.1)
