"""A trie of path segments: a few dictionary look-ups a request, however many routes there are."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")
_REST = ":path"


class _Node(Generic[T]):
    __slots__ = ("literals", "methods", "param", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.param: _Node[T] | None = None
        self.rest: _Node[T] | None = None
        self.methods: dict[str, tuple[T, tuple[str, ...]]] = {}


class Match(Generic[T]):
    """What a path leads to: a target for each method, and the path's parameters."""

    __slots__ = ("_methods", "_values")

    def __init__(self, methods: dict[str, tuple[T, tuple[str, ...]]], values: list[str]) -> None:
        self._methods = methods
        self._values = values

    @property
    def methods(self) -> list[str]:
        return sorted(self._methods)

    def get(self, method: str) -> tuple[T, dict[str, str]] | None:
        """The target and the parameters by name, or None where the path has no such method."""
        found = self._methods.get(method)
        if found is None:
            return None
        target, names = found
        return target, dict(zip(names, self._values, strict=True))


class Router(Generic[T]):
    """Routes as `/servers/{id}/action`; `{name:path}` takes the rest, slashes and all.

    A literal segment wins over a parameter; where it leads nowhere, the parameter is tried.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: str, target: T) -> None:
        """Raises ValueError where the method has a target at this path already."""
        node, names = self._root, []
        for segment in _segments(path):
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment, _Node())
            elif segment.endswith(_REST + "}"):
                names.append(segment[1 : -len(_REST) - 1])
                node.rest = node = node.rest or _Node()
            else:
                names.append(segment[1:-1])
                node.param = node = node.param or _Node()
        if method in node.methods:
            raise ValueError(f"two targets for {method} {path}")
        node.methods[method] = (target, tuple(names))

    def find(self, path: str) -> Match[T] | None:
        """`path` is decoded already; one trailing slash does not matter."""
        values: list[str] = []
        node = _walk(self._root, _segments(path), 0, values)
        return None if node is None else Match(node.methods, values)


def _segments(path: str) -> list[str]:
    stripped = path.strip("/")
    return stripped.split("/") if stripped else []


def _walk(node: _Node[T], segments: list[str], at: int, values: list[str]) -> _Node[T] | None:
    if at == len(segments):
        return node if node.methods else None
    segment = segments[at]
    if (literal := node.literals.get(segment)) is not None and (
        found := _walk(literal, segments, at + 1, values)
    ) is not None:
        return found
    if node.param is not None and segment:
        values.append(segment)
        if (found := _walk(node.param, segments, at + 1, values)) is not None:
            return found
        values.pop()
    if node.rest is not None:
        values.append("/".join(segments[at:]))
        return node.rest
    return None
