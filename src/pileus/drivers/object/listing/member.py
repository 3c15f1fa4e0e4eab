"""What a ring of lists needs of each device: databases by path, of which replicas can be merged in any order.

A path is `account` or `account/container`; shards are containers of hidden accounts. All that a replica knows is made of
parts of which the later counts, part by part, so merging is commutative, associative and idempotent: what was told twice,
late, or by way of another replica ends the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from pileus.lib.timestamp import ZERO, Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import Ask, Form, ObjectEntry, Usage


class MemberAway(DeviceError):
    """The member can't be reached, or answers no more. What was asked of it may have happened."""


class Item(NamedTuple):
    """A metadata item's value since when; empty: it was removed then."""

    changed: Timestamp
    value: str


class Life(NamedTuple):
    """Whether an account or container is there, and since when."""

    put_at: Timestamp = ZERO
    """Of the last PUT or POST."""
    delete_at: Timestamp = ZERO
    follows: Timestamp = ZERO
    """The deletion that it was made anew after."""
    created_at: Timestamp = ZERO
    policy: int = 0
    """The storage policy's index, of a container."""

    def exists(self, objects: int) -> bool:
        """A container that objects have come into is not deleted: whoever deleted it did not know of them."""
        return self.put_at > self.delete_at or (objects > 0 and self.put_at > ZERO)


class Guests(NamedTuple):
    """Rows that a shard was given by the one before it, which its root may count there still."""

    upto: str
    """Names up to and with this one."""
    objects: int
    bytes_used: int


class Child(NamedTuple):
    """What a container tells its account of itself, and a shard the container that it is part of."""

    name: str
    """In its account; a shard's is its path."""
    put_at: Timestamp
    delete_at: Timestamp
    counted_at: int
    """Grows whenever the counts change; the greatest has the counts."""
    objects: int
    bytes_used: int
    policy: int = 0
    guests: Guests | None = None
    """Of a shard's rows those that the root counts only when it knows the shard's range to be so wide."""


RangeState = Literal["found", "created", "gone"]


class Range(NamedTuple):
    """Names after `lower`, up to and with `upper` (empty: all), and the shard that has them, or is to have them."""

    shard: str
    """Its path."""
    lower: str
    upper: str
    state: RangeState
    """`found`: a place to split; `created`: the shard takes rows; `gone`: others took its place."""
    changed: Timestamp
    counted_at: int = 0
    objects: int = 0
    bytes_used: int = 0


class Own(NamedTuple):
    """What a shard is part of, and which names are its own."""

    root: str
    """The path of the container that clients know."""
    lower: str
    upper: str
    changed: Timestamp
    joined: str = ""
    """Names up to this one come from the shard before, and the root may not know of it yet."""


class Change(NamedTuple):
    """Parts of what an account or container knows of itself. What is left out stays."""

    put_at: Timestamp | None = None
    policy: int = 0
    """What `put_at` makes has it; of one that is there it changes nothing."""
    delete_at: Timestamp | None = None
    items: Mapping[str, Item] = {}
    ranges: Sequence[Range] = ()
    own: Own | None = None


class Info(NamedTuple):
    """All that a replica knows of itself, but for its rows."""

    id: str
    """Of this replica's file."""
    life: Life
    items: Mapping[str, Item]
    """Those of earlier lives and removed ones, too."""
    containers: int
    """Of an account; else 0."""
    objects: int
    """Those of shards included."""
    bytes_used: int
    counted_at: int
    sequence: int
    """Grows with every row that changes."""
    ranges: Sequence[Range]
    """In order of names; those that are gone, too."""
    own: Own | None
    policies: Mapping[int, Usage] = {}
    """Of an account: what containers of each policy have."""

    @property
    def exists(self) -> bool:
        return self.life.exists(0 if self.containers else self.objects)

    @property
    def metadata(self) -> dict[str, str]:
        """Items of this life."""
        return {
            name: item.value
            for name, item in self.items.items()
            if item.value and item.changed > self.life.delete_at
        }


class Changed(NamedTuple):
    made: bool
    """It was not there before."""
    info: Info


class Entered(NamedTuple):
    """After rows were merged."""

    child: Child
    """What the parent should know now."""
    own: Own | None
    moved: Sequence[str]
    """Names of rows that were not taken: a shard of this container, or another shard, has them."""


class Part(NamedTuple):
    """Entries of a list in the wanted form, without what stands before the first and after the last, or between parts."""

    body: bytes
    entries: int
    last: str
    """Name of the last entry."""
    more: Range | None
    """The list goes on in that shard; after it, here again."""


class Window(NamedTuple):
    """The list's names after `lower`, up to and with `upper`; empty: no bound."""

    lower: str = ""
    upper: str = ""


class Batch(NamedTuple):
    """What one replica tells another."""

    id: str
    """Of the file that it is from."""
    life: Life
    items: Mapping[str, Item]
    ranges: Sequence[Range]
    own: Own | None
    counted_at: int
    objects: Sequence[ObjectEntry]
    children: Sequence[Child]
    upto: int
    """The sender's rows up to this sequence number have been told with it; 0: says nothing of that."""
    base: tuple[str, int] | None = None
    """The file began as a copy of that one, as of that sequence number."""


class Merged(NamedTuple):
    known: int
    """Up to where the sender's rows are known by now; 0: it has to send all."""
    moved: Sequence[str]
    """As in `Entered`."""


class Member(Protocol):
    """The databases of one device, on this host or elsewhere. Whatever fails raises DeviceError.

    Made durable at once: `change`, `receive`, and `report` where it says so. All else is durable after `settle`.
    """

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def info(self, path: str) -> Info | None:
        """None where there is no file; one of a deleted container is there still."""

    async def change(
        self, path: str, change: Change, *, make: bool = False, empty: bool = False
    ) -> Changed | None:
        """Merges it. None where there is no file and `make` is not said. With `empty` raises NotEmpty where it isn't."""

    async def enter(self, path: str, rows: Sequence[ObjectEntry]) -> Entered | None:
        """Merges rows of objects. None where there is no file: nothing is known of that container."""

    async def report(self, path: str, children: Sequence[Child], *, durable: bool = False) -> Entered | None:
        """Merges what containers tell their account, shards their root. Of a shard that it has no range for, nothing."""

    async def list(self, path: str, ask: Ask, form: Form, window: Window) -> Part | None:
        """The first entries of a list, up to where a shard has to be asked. None of a container that is not there.

        Of a deleted account, too, whatever is left.
        """

    async def merge(self, path: str, batch: Batch, *, make: bool = False) -> Merged | None:
        """Merges what another replica has. None where there is no file and `make` is not said."""

    async def receive(self, path: str, id: str, sequence: int, file: AsyncIterator[bytes]) -> Merged:
        """Another replica's whole SQLite file, of that id and as of that sequence number."""

    async def settle(self) -> str:
        """All is durable; a word that changes where the device was started anew, and may have lost what was not."""

    async def word(self, path: str) -> str:
        """Another one whenever what a list knows of itself may have changed, but for its rows; costs no look at the disk."""

    async def ring(self) -> str:
        """As of a member that keeps objects: the digest of the ring that its server goes by."""
