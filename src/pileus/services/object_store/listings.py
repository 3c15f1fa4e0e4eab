"""What accounts and containers need of a disk: who they are, and sorted lists of what is in them.

Objects are not entered one by one: whoever keeps them tells of every change once it is durable, and the lists follow.
What had been told before a list or a count is asked for is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError

Form = Literal["json", "xml", "plain"]
Metadata = Mapping[str, str]
"""Header names in lower case to values."""


class NoSuchContainer(Exception):
    """There is none of that name."""


class AccountLeaving(DeviceError):
    """It was deleted, and what it had is not reaped yet: until then it is not made again."""


class NotEmpty(Exception):
    """It holds objects, so it stays."""


class Ask(NamedTuple):
    """Which part of a list (Object Storage API, "Show account details", "Show container details")."""

    limit: int = 10_000
    marker: str = ""
    """Names after it."""
    end_marker: str = ""
    """Names before it."""
    prefix: str = ""
    delimiter: str = ""
    """Names that go on after it are one entry, up to it."""
    path: str | None = None
    """Names right below this pseudo-folder, and no entries for those further down."""
    reverse: bool = False
    policies: tuple[tuple[int, str], ...] = ()
    """Storage policies that lists of containers are to name, by index."""


class ObjectEntry(NamedTuple):
    """A container's row; `etag` None deletes it."""

    name: str
    timestamp: Timestamp
    """Of the data, or of the deletion."""
    changed: Timestamp
    """Of the metadata: the same, or later. The greater of both, in this order, is what counts."""
    size_bytes: int
    etag: str | None
    content_type: str


class Usage(NamedTuple):
    containers: int
    objects: int
    bytes_used: int


class AccountInfo(NamedTuple):
    created: Timestamp
    metadata: Metadata
    containers: int
    objects: int
    bytes_used: int
    policies: Mapping[int, Usage] = {}
    """The same by the index of the containers' storage policies, of those that have any."""


class ContainerInfo(NamedTuple):
    created: Timestamp
    set_at: Timestamp
    """Of the last PUT or POST of the container itself."""
    metadata: Metadata
    objects: int
    bytes_used: int
    policy: int = 0
    """Index of its storage policy."""


class Listings(Protocol):
    """An account exists once it has metadata or a container."""

    async def start(self) -> str:
        """The mark of the last `settle`; empty where there was none."""

    async def close(self) -> None: ...

    async def account(self, account: str) -> AccountInfo | None: ...

    async def word(self, account: str, container: str | None = None) -> str | None:
        """Another one whenever somebody else may have changed the account's or container's metadata.

        None: there is nobody else, or none that could be asked.
        """

    async def set_account(self, account: str, now: Timestamp, change: Callable[[Metadata], Metadata]) -> None:
        """Makes the account where there is none. Durable. Raises AccountLeaving."""

    async def delete_account(self, account: str) -> bool:
        """False where there was none. Durable. Its containers stay, and are no more to be found in a list."""

    async def containers_left(self, account: str, marker: str, limit: int) -> Sequence[str]:
        """Names after `marker` of the containers of an account, be it deleted or not."""

    async def container(self, account: str, container: str) -> ContainerInfo | None: ...

    async def set_container(
        self,
        account: str,
        container: str,
        now: Timestamp,
        change: Callable[[Metadata], Metadata],
        *,
        make: bool,
        policy: int = 0,
    ) -> bool:
        """New metadata; whether the container was made now. Durable. Raises NoSuchContainer where it may not be made.

        Makes the account, too: raises AccountLeaving. `policy` is that of a container made now; one that is there keeps its own.
        """

    async def delete_container(self, account: str, container: str) -> None:
        """Raises NoSuchContainer, NotEmpty. Durable."""

    def note(self, account: str, container: str, entry: ObjectEntry) -> None:
        """An object changed. Of a container that is not there it is forgotten."""

    async def list_containers(self, account: str, ask: Ask, form: Form) -> bytes | None:
        """None where there is no such account."""

    async def list_objects(self, account: str, container: str, ask: Ask, form: Form) -> bytes | None:
        """None where there is no such container."""

    async def settle(self, mark: str) -> None:
        """All that was told is durable when this returns, and so is the mark that says how far that was."""


def folder(key: str, prefix: str, delimiter: str) -> str:
    """What a list shows for the key: it up to the delimiter that follows the prefix; empty where it shows the key."""
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: end + len(delimiter)] if end >= 0 else ""
