"""Networks: Neutron's API over a network engine."""

from pileus.services.network.service import service

__all__ = ["service"]
