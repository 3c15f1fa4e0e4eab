"""Networks: Neutron's API over a network engine."""
