"""Raising a cloud, seeding it, letting Tempest loose on it, and judging what came out."""
