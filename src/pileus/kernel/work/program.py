"""Programs: what a kind of resource does with its life, label by label."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar

from pileus.kernel.work.strand import Fault, Step, Strand, Write

P = TypeVar("P", bound="Program")
_MARK = "__pileus_label__"

Method: TypeAlias = Callable[[P, Strand], Awaitable[Step]]


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """What `@label` says of a method."""

    name: str
    deadline_seconds: float | None
    destroying: bool

    def deadline_at(self, entered_at: datetime) -> datetime | None:
        """By when a strand that enters the label at `entered_at` must have left it."""
        if self.deadline_seconds is None:
            return None
        return entered_at + timedelta(seconds=self.deadline_seconds)


def label(*, deadline: float | None = None, destroying: bool = False) -> Callable[[Method[P]], Method[P]]:
    """Marks a method as a label: `async def boot(self, strand: Strand) -> Step`.

    `deadline`: seconds from entering the label until the strand must have hopped on. A label that still naps
    or fails after that ends in a Fault and an alarm. The label gets a last look when the time is up, so that
    a control plane that was away for long does no harm.
    `destroying`: the label belongs to the resource's end, and `Work.destroy` does not interrupt it.
    """

    def mark(method: Method[P]) -> Method[P]:
        name: str = method.__name__
        setattr(method, _MARK, LabelSpec(name, deadline, destroying))
        return method

    return mark


class Program:
    """The life of one kind of resource. An instance holds the drivers and needs that its labels use; it keeps
    nothing about a single resource, since any process may run the next label.

    A strand begins at the label `start`. The label `destroy` is entered from wherever the strand stands once
    the resource's end is asked for. A label looks at the world, moves it one step nearer to what the rows
    want, and says how to go on. It runs at least once, perhaps twice, perhaps after its own half-done run:
    names derive from ids, and `ensure` is idempotent.
    """

    name: ClassVar[str]
    """`compute.server`: stays the same for ever, as rows carry it."""
    after_fault: ClassVar[str] = "steady"
    """The label where a strand rests after a fault, until woken. A fault in a destroying label does not lead
    here: the end is tried again, slowly, for ever."""
    labels: ClassVar[Mapping[str, LabelSpec]] = {}
    """Every label by name; gathered when the class is made."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = (getattr(getattr(cls, name), _MARK, None) for name in dir(cls))
        cls.labels = {spec.name: spec for spec in found if isinstance(spec, LabelSpec)}
        if not hasattr(cls, "name"):
            return  # a base for programs, not one itself
        for needed in ("start", "destroy", cls.after_fault):
            if needed not in cls.labels:
                raise TypeError(f"program {cls.__name__} has no label {needed!r}; mark one with @label()")
        if not cls.labels["destroy"].destroying:
            raise TypeError(f"label destroy of {cls.__name__} is marked @label(destroying=True)")

    def on_fault(self, strand: Strand, fault: Fault) -> Write | None:
        """What to write when a strand gives up: the status ERROR and the fault that the user reads.

        Runs in the transaction that moves the strand to rest; may run again for the same fault.
        """
        return None
