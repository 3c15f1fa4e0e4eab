"""Whose a client certificate is: what its names come to by a mapping (Keystone's OAuth 2.0 guide, "mutual TLS")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from sqlalchemy import Row

from pileus.kernel.db import Tx, rows
from pileus.services.identity.delegation import refuse
from pileus.services.identity.federation import mapping
from pileus.services.identity.federation.model import mappings
from pileus.services.identity.store import project, user

_MORE_NAMES = {x509.NameOID.EMAIL_ADDRESS: "emailAddress"}
"""Short names that RFC 4514 does not have."""


def owner(tx: Tx, user_id: str, certificate: bytes, mapping_id: str) -> Row[Any]:
    """The user, if the certificate (DER) is its own; Unauthorized otherwise."""
    rules, person = rows.get(tx, mappings, mapping_id), user.get(tx, user_id)
    if rules is None:
        raise refuse(f"there is no mapping {mapping_id} for client certificates")
    try:
        names = {name: [value] for name, value in _names(certificate)}
        found = mapping.apply(
            mapping.parse({"rules": rules.rules, "schema_version": rules.schema_version}), names
        )
    except (ValueError, mapping.NothingMapped, mapping.MappingInvalid) as error:
        raise refuse(f"the client certificate means nobody: {error}") from error
    if person is None or not _is(tx, person, found.user):
        raise refuse(f"the client certificate is not that of user {user_id}")
    return person


def _names(certificate: bytes) -> Iterator[tuple[str, str]]:
    """As a web server calls them: `SSL_CLIENT_SUBJECT_DN_CN`. Raises ValueError where it is no certificate."""
    read = x509.load_der_x509_certificate(certificate)
    for part, names in (("SUBJECT", read.subject), ("ISSUER", read.issuer)):
        for each in names:
            short = _MORE_NAMES.get(each.oid, each.rfc4514_attribute_name)
            if isinstance(each.value, str) and "\0" not in each.value:
                yield f"SSL_CLIENT_{part}_DN_{short.upper()}", each.value


def _is(tx: Tx, person: Row[Any], named: mapping.User) -> bool:
    """Whether all that the mapping says is so, and it says who it is: a domain alone is nobody."""
    said = [
        (named.id, person.id),
        (named.name, person.name),
        (named.email, person.extra.get("email")),
    ]
    if not any(wanted for wanted, _ in said):
        return False
    if named.domain:
        home = project.get(tx, person.domain_id)
        said += [
            (named.domain.id, person.domain_id),
            (named.domain.name, None if home is None else home.name),
        ]
    return all(wanted == there for wanted, there in said if wanted)
