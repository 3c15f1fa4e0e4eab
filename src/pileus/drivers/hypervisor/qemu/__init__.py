"""Guests as QEMU processes, spoken to over QMP."""

from pileus.drivers.hypervisor.qemu.driver import QemuHypervisor
from pileus.drivers.hypervisor.qemu.kvm import probe_kvm

__all__ = ["QemuHypervisor", "probe_kvm"]
