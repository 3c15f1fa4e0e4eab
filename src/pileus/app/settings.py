"""Everything that can be set, by file or environment."""

from __future__ import annotations

import msgspec

from pileus.kernel.config import ConfigError
from pileus.kernel.http.front_proxy import FrontProxy
from pileus.services.compute.settings import Settings as ComputeSettings
from pileus.services.identity.settings import Settings as IdentitySettings
from pileus.services.image.settings import Settings as ImageSettings
from pileus.services.network.settings import Settings as NetworkSettings
from pileus.services.object_store.settings import Settings as ObjectStoreSettings
from pileus.services.placement.settings import Settings as PlacementSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8900"
    public_url: str | None = None
    """Scheme and host under which clients reach the cloud, where that is not `http://LISTEN`."""
    front_proxy: FrontProxy = FrontProxy()
    """A web server in front that is believed what it says about clients."""
    region: str = "RegionOne"
    node: str = ""
    """This process among all that share the database; the host's name by default."""
    database_url: str | None = None
    """`postgresql://…`; by default SQLite in the state directory."""
    only: tuple[str, ...] = ()
    """Services that run, by their types in the catalog; empty: all."""
    sim: bool = False
    """Simulated hosts and networks: all APIs, no packets, nothing but Python needed."""
    sim_hosts: int = 2
    """Hosts of a simulated cloud."""
    hypervisors: tuple[str, ...] = ()
    """Ways of running guests that each host has: `qemu`, `runc`, `sim`, or plug-ins' (entry points of the group
    `pileus.hypervisors`). Empty: `qemu` and `runc`, or in a simulated cloud `sim`."""
    log_level: str = "info"
    policy_files: dict[str, str] = {}
    """An operator's policy file (YAML or JSON) by service type."""
    identity: IdentitySettings = IdentitySettings()
    image: ImageSettings = ImageSettings()
    placement: PlacementSettings = PlacementSettings()
    network: NetworkSettings = NetworkSettings()
    compute: ComputeSettings = ComputeSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        if not (host and port.isdecimal() and int(port) < 2**16):
            raise ConfigError(f"listen is {self.listen!r}; it must be ADDRESS:PORT, such as 127.0.0.1:8900")
        return host.strip("[]"), int(port)

    @property
    def base_url(self) -> str:
        return self.public_url or f"http://{self.listen}"
