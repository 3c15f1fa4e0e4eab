"""Etags in quotes, as RFC 9110 has them, for accounts and containers that ask for it (Swift's documentation, "ETag quoter")."""

from __future__ import annotations

from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

ACCOUNT, CONTAINER = "x-account-rfc-compliant-etags", "x-container-rfc-compliant-etags"
_TRUE = ("true", "1", "yes", "on", "t", "y")


async def are_quoted(state: ObjectStoreState, name: Name, info: ContainerInfo | None) -> bool:
    """The container's word counts, else the account's, else the setting."""
    said = "" if info is None else info.metadata.get(CONTAINER, "")
    said = said or (await state.account_metadata(name.account)).get(ACCOUNT, "")
    return said.lower() in _TRUE if said else state.settings.quoted_etags
