"""OCI containers as servers; doc/decisions/0008-containers-as-servers.md tells why it is done in this way."""

from pileus.drivers.hypervisor.runc.driver import RuncHypervisor

__all__ = ["RuncHypervisor"]
