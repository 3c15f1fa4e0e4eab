"""Servers: what they look like, how they are made, listed, changed, and what can be done with them."""
