"""Every SQL statement of placement, by noun."""
