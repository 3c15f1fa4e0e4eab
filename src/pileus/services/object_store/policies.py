"""Storage policies: what a container is promised of how its objects are kept.

A policy has devices of its own. A container gets one when it is made, and keeps it (Object Storage API, "Create container",
`X-Storage-Policy`). The rules are those of Swift's `swift.conf`.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pileus.kernel.config import ConfigError

FIRST = "Policy-0"
"""The policy where none is configured, and a name that no other may have."""
MAX_SEGMENT_KIB = 16 * 1024
"""A reader holds two segments."""
_LETTERS = frozenset(string.ascii_letters + string.digits + "-")


class ErasureCoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each object in `data` + `parity` fragments, of which any `data` give it back."""

    data: int
    parity: int
    code: str = ""
    """One of PyECLib's. Empty: the fastest Reed-Solomon code that is there."""
    segment_kib: int = 1024
    """So much is coded at once; who reads a part of it has all of it decoded."""


class StoragePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    index: int = 0
    """Stands in the lists of containers, so it must never change."""
    aliases: tuple[str, ...] = ()
    default: bool = False
    """Of containers for which none is asked."""
    deprecated: bool = False
    """What is there stays; no new container gets it."""
    erasure_coding: ErasureCoding | None = None
    """None: whole copies."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, *(alias for alias in self.aliases if alias.lower() != self.name.lower())


class Policies:
    """All of them. Raises ConfigError where they don't fit together."""

    def __init__(self, policies: Iterable[StoragePolicy]) -> None:
        every = tuple(policies) or (StoragePolicy(name=FIRST, default=True),)
        if len(every) == 1 and not every[0].deprecated:
            every = (msgspec.structs.replace(every[0], default=True),)
        self.by_index: dict[int, StoragePolicy] = {}
        self._by_name: dict[str, StoragePolicy] = {}
        for policy in every:
            self._add(policy)
        if 0 not in self.by_index:
            raise ConfigError("object_store.policies: one of them must have the index 0")
        defaults = [policy for policy in every if policy.default]
        if len(defaults) != 1 or defaults[0].deprecated:
            raise ConfigError("object_store.policies: one must be the default, and that one not deprecated")
        self.default = defaults[0]

    def _add(self, policy: StoragePolicy) -> None:
        at = f"object_store.policies: {policy.name!r}"
        if policy.index < 0 or policy.index in self.by_index:
            raise ConfigError(f"{at} has the index {policy.index}, which must be its own, and not below 0")
        for name in policy.names:
            if not name or not _LETTERS.issuperset(name):
                raise ConfigError(
                    f"{at}: {name!r} is no name; letters, digits and dashes are, since it goes into headers"
                )
            if name.lower() in self._by_name or (name.lower() == FIRST.lower() and policy.index):
                raise ConfigError(f"{at}: the name {name!r} is another policy's")
            self._by_name[name.lower()] = policy
        code = policy.erasure_coding
        if code is not None and not (
            code.data >= 1 and code.parity >= 1 and 1 <= code.segment_kib <= MAX_SEGMENT_KIB
        ):
            raise ConfigError(
                f"{at}: erasure coding takes 1 or more for data and parity, segments of 1 to {MAX_SEGMENT_KIB} KiB"
            )
        self.by_index[policy.index] = policy

    def __iter__(self) -> Iterator[StoragePolicy]:
        return iter(self.by_index.values())

    def named(self, name: str) -> StoragePolicy | None:
        """By name or alias, in small or capital letters."""
        return self._by_name.get(name.lower())

    def name_of(self, index: int) -> str:
        """The index itself where the policy is not configured any more."""
        policy = self.by_index.get(index)
        return str(index) if policy is None else policy.name

    def described(self) -> list[dict[str, Any]]:
        """As `/info` has them: those that a new container can get."""
        return [
            {
                "name": policy.name,
                "aliases": ", ".join(policy.names),
                **({"default": True} if policy.default else {}),
            }
            for policy in self
            if not policy.deprecated
        ]
