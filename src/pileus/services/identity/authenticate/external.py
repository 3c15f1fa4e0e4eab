"""The methods `external` and `kerberos`: a web server in front has found out who it is, and says so in a header."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import Unauthorized
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.authenticate.reference import DomainRef, UserRef, find_user
from pileus.services.identity.bootstrap import DEFAULT_DOMAIN
from pileus.services.identity.delegation import refuse
from pileus.services.identity.settings import External


class ExternalPart(msgspec.Struct):
    """Nothing: the proof is in the request itself."""


class ExternalMethod:
    part = ExternalPart

    def __init__(self, name: str) -> None:
        self.name = name

    async def prove(self, attempt: Attempt, part: ExternalPart) -> Proof:
        settings = attempt.state.settings.external
        if settings.variant is None:
            raise Unauthorized(
                f"The method of authentication {self.name!r} is off: there is no setting identity.external.variant."
            )
        named = _named(attempt, settings, kerberos=self.name == "kerberos")
        person = None if named is None else await attempt.state.db.read(_find, named)
        if person is None:
            raise refuse("the front proxy names nobody, or nobody that there is")
        return Proof(user=person, methods=(self.name,))


def _named(attempt: Attempt, settings: External, *, kerberos: bool) -> UserRef | None:
    def says(name: str) -> str | None:
        return attempt.call.runtime.front_proxy.says(attempt.call.scope, name)

    name = says(settings.remote_user_header)
    if name is None or "\0" in name or (kerberos and says(settings.auth_type_header) != "Negotiate"):
        return None
    domain = says(settings.remote_domain_header) if settings.variant == "Domain" else None
    home = DomainRef(id=DEFAULT_DOMAIN) if domain is None else DomainRef(name=domain)
    return UserRef(name=name, domain=home)


def _find(tx: Tx, named: UserRef) -> Row[Any] | None:
    return find_user(tx, named)
