"""Keeps the mirrors of all directories fresh, and asks directories for passwords."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from sqlalchemy import Row

from pileus.kernel.api.auth import Revision
from pileus.kernel.db import Database, Tx
from pileus.kernel.errors import Forbidden
from pileus.services.identity.ldap import directory, mirror
from pileus.services.identity.ldap.directory import DirectoryError
from pileus.services.identity.ldap.options import LdapOptions, directory_options
from pileus.services.identity.store import domain_config

log = structlog.get_logger("pileus.identity.ldap")
T = TypeVar("T")
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ldap")
"""Of their own, so that a directory that hangs holds up nobody else."""


async def _apart(function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function, *arguments)


class Directories:
    """One for each process. A directory that does not answer leaves its mirror as it was."""

    def __init__(self, db: Database, revision: Revision, seconds: float) -> None:
        self._db = db
        self._revision = revision
        self._seconds = seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the directories now: what they are may have changed."""
        self._woken.set()

    async def keep(self) -> None:
        """Reads them all, again and again, until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self.refresh()
            except Exception:
                log.exception("directories can't be mirrored")
            try:
                await asyncio.wait_for(self._woken.wait(), self._seconds)
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Reads all directories once."""
        for domain_id, options in (await self._db.read(_configured)).items():
            try:
                contents = await _apart(directory.read, options)
            except DirectoryError as error:
                log.warning("directory not read", domain=domain_id, reason=str(error))
                continue
            await self._db.write(self._put, domain_id, contents)

    def _put(self, tx: Tx, domain_id: str, contents: directory.Contents) -> None:
        if mirror.put(tx, domain_id, contents):
            tx.after_commit(self._revision.bump)

    async def is_password(self, person: Row[Any], password: str) -> bool:
        """Whether the directory takes it for this user's password; False where the directory does not answer."""
        found = await self._db.read(_place, person.id, person.domain_id)
        if found is None:
            return False
        options, dn = found
        try:
            return await _apart(directory.is_password, options, dn, password)
        except DirectoryError as error:
            log.warning("directory not asked", domain=person.domain_id, reason=str(error))
            return False


def _configured(tx: Tx) -> dict[str, LdapOptions]:
    found = {}
    for domain_id in domain_config.configured(tx):
        try:
            options = directory_options(domain_config.working_options(tx, domain_id))
        except ValueError as error:
            log.warning("directory not read", domain=domain_id, reason=str(error))
            continue
        if options is not None:
            found[domain_id] = options
    return found


def _place(tx: Tx, user_id: str, domain_id: str) -> tuple[LdapOptions, str] | None:
    entry = mirror.entry(tx, user_id)
    options = _configured(tx).get(domain_id)
    return None if entry is None or options is None else (options, entry.dn)


def check_writable(tx: Tx, domain_id: str, *public_ids: str) -> None:
    """403 for a domain whose users are in a directory, and for a user or group that is."""
    config = domain_config.options(tx, domain_id)
    if config.get("identity", {}).get("driver") == "ldap" or any(
        mirror.entry(tx, each) for each in public_ids
    ):
        raise Forbidden(
            f"The users and groups of domain {domain_id} are in a directory (LDAP), which is only read here."
        )
