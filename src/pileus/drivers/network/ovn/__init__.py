"""The network engine over Open vSwitch and OVN."""

from pileus.drivers.network.ovn.engine import OvnEngine

__all__ = ["OvnEngine"]
