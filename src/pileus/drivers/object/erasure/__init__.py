"""Erasure coding: an object in fragments on many devices, of which some may be lost."""
