"""Microversions: a narrated list with names, and how a client asks for one.

The rule is the API working group's microversion specification: a header names the service type and a version
or `latest`; without it a client gets the lowest; out of range is a 406.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import total_ordering
from itertools import pairwise

from pileus.kernel.errors import BadRequest, NotAcceptable


@total_ordering
class Version:
    """One microversion. Handlers ask `call.has(V.NAME)`; nobody compares numbers."""

    __slots__ = ("major", "minor", "name", "previous", "text")
    previous: Version
    """The one before; for what it was the last to have: `until=V.NO_PROXIES.previous`. The lowest has none."""

    def __init__(self, number: str, text: str) -> None:
        major, minor = number.split(".")
        self.major, self.minor = int(major), int(minor)
        self.text = text
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.major, self.minor) == (other.major, other.minor)

    def __lt__(self, other: Version) -> bool:
        return (self.major, self.minor) < (other.major, other.minor)

    def __hash__(self) -> int:
        return hash((self.major, self.minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def __repr__(self) -> str:
        return f"<{self.name or 'version'} {self}>"


class Versions:
    """Base of a service's list of versions; class attributes are `Version("2.1", "what changed")`."""

    service_type: str
    """The name in `OpenStack-API-Version`."""
    legacy_header: str | None = None
    """Nova's own header, which carries the bare number."""
    history: tuple[Version, ...] = ()
    _by_minor: dict[int, Version] = {}

    def __init_subclass__(cls) -> None:
        history = tuple(value for value in vars(cls).values() if isinstance(value, Version))
        for earlier, later in pairwise(history):
            if (later.major, later.minor) != (earlier.major, earlier.minor + 1):
                raise ValueError(f"{cls.__name__}: {later!r} does not follow {earlier!r}")
            later.previous = earlier
        cls.history = history
        cls._by_minor = {version.minor: version for version in history}

    @classmethod
    def lowest(cls) -> Version:
        return cls.history[0]

    @classmethod
    def newest(cls) -> Version:
        return cls.history[-1]

    @classmethod
    def negotiate(cls, header: Callable[[str], str | None]) -> Version:
        """The version that the request's headers ask for."""
        asked = _asked(header("openstack-api-version"), cls.service_type)
        if asked is None and cls.legacy_header is not None:
            asked = header(cls.legacy_header)
        if asked is None:
            return cls.lowest()
        if asked == "latest":
            return cls.newest()
        major, dot, minor = asked.partition(".")
        if not (dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
            raise BadRequest(
                f"API Version String {asked!r} is of invalid format. Must be of format MajorNum.MinorNum."
            )
        version = cls._by_minor.get(int(minor)) if len(minor) < 6 else None
        if version is None or version.major != int(major[:4]):
            raise NotAcceptable(
                f"Version {asked} is not supported by the API. "
                f"Minimum is {cls.lowest()} and maximum is {cls.newest()}."
            )
        return version

    @classmethod
    def headers(cls, version: Version) -> Mapping[str, str]:
        """What every answer says of the version it was made for."""
        names = ["OpenStack-API-Version"]
        said = {"openstack-api-version": f"{cls.service_type} {version}"}
        if cls.legacy_header is not None:
            said[cls.legacy_header] = str(version)
            names.append(cls.legacy_header)
        said["vary"] = ", ".join(names)
        return said


def _asked(header: str | None, service_type: str) -> str | None:
    """The number for this service out of `compute 2.79, volume 3.0`."""
    for entry in (header or "").split(","):
        words = entry.split()
        if len(words) == 2 and words[0].lower() == service_type:
            return words[1]
    return None
