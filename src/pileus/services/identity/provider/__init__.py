"""A small OpenID Connect provider over identity's own users, so that a single machine has browser and device login."""
