"""Compute: Nova's API v2.1 over hypervisors behind a protocol. README.md says more."""
