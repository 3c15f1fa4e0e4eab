"""Things that settings choose by name, and that plug-ins add to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Named parts of one kind. A plug-in registers its own before the settings are read."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a part under a name; raises ValueError when the name is taken."""

        def add(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"there is a {self._kind} named {name} already")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> T:
        """The part of that name; raises ValueError with the names there are."""
        if name not in self._parts:
            raise ValueError(f"there is no {self._kind} named {name}; there are {', '.join(self._parts)}")
        return self._parts[name]

    def chosen(self, names: Iterable[str]) -> list[tuple[str, T]]:
        return [(name, self[name]) for name in names]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._parts)
