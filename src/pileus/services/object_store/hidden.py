"""Accounts that no client reaches: beside an account those with its older versions, and with uploads that have begun.

A container in one is the shadow of the container of that name. What is in it is named by the object that it belongs to,
and so stands in the order of objects' names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.name import Name

if TYPE_CHECKING:
    from pileus.services.object_store.state import ObjectStoreState

Kind = Literal["versions", "uploads"]
KINDS: tuple[Kind, ...] = ("versions", "uploads")
_END = "\x01\x01"
"""Ends the object's name; `escaped` keeps it out of names, and the order as it is."""


def account(kind: Kind, of: str) -> str:
    return f".{kind}-{of}"


def shadow(kind: Kind, name: Name) -> Name:
    """The container's."""
    return Name(account(kind, name.account), name.container)


async def make(state: ObjectStoreState, kind: Kind, name: Name, info: ContainerInfo) -> Name:
    """The container's shadow, which is there when this returns."""
    where = shadow(kind, name)
    if await state.container(where.account, where.container) is None:
        await state.listings.set_container(
            where.account, where.container, state.now(), dict, make=True, policy=info.policy
        )
        state.forget(where.account, where.container)
    return where


def escaped(key: str) -> str:
    return key.replace("\x01", "\x01\x02")


def entry(key: str, tail: str) -> str:
    """A name in a shadow: in the order of keys, then of tails."""
    return escaped(key) + _END + tail


def object_of(kind: Kind, path: str) -> tuple[Name, str] | None:
    """Whose an entry's path is, and its tail; None for any other path."""
    if not path.startswith(account(kind, "")):
        return None
    shadow_account, container, name = path.split("/", 2)
    key, tail = read(name)
    return Name(shadow_account.removeprefix(account(kind, "")), container, key), tail


def read(entry: str) -> tuple[str, str]:
    """The key and the tail."""
    key, _, tail = entry.rpartition(_END)
    return key.replace("\x01\x02", "\x01"), tail
