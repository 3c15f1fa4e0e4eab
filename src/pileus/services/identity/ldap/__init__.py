"""Domains whose users and groups are in an LDAP directory, which is only read."""
