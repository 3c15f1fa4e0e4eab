"""Rows as clients see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, get_args

from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.fields import Field

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call


@dataclass(frozen=True)
class Rendering:
    """Some fields of a resource, sorted out by how their values come about."""

    plain: Mapping[str, str]
    """Columns that are shown as they are, by wire name."""
    moments: Sequence[tuple[str, str]]
    """Times, with their columns."""
    computed: Sequence[tuple[str, Callable[[Any, Any], Any]]]

    @classmethod
    def of(cls, fields: Iterable[Field]) -> Rendering:
        plain, moments, computed = {}, [], []
        for each in fields:
            if each.render is not None:
                computed.append((each.wire, each.render))
            elif is_time(each.type):
                moments.append((each.wire, each.column or each.name))
            else:
                plain[each.wire] = each.column or each.name
        return cls(plain, moments, computed)

    def view(self, call: Call, extras: str | None) -> Callable[[Row[Any]], dict[str, Any]]:
        """A function that shows rows which are all alike, with what their column `extras` holds."""
        time = call.runtime.service.dialect.time
        plain, moments, computed = self.plain, self.moments, self.computed
        picker: Callable[[Row[Any]], tuple[Any, ...]] | None = None

        def show(row: Row[Any]) -> dict[str, Any]:
            nonlocal picker
            if picker is None:
                picker = _picker(row, plain.values())
            shown = dict(zip(plain, picker(row), strict=True))
            if extras is not None:
                shown = {**getattr(row, extras), **shown}
            for wire, column in moments:
                moment = getattr(row, column)
                shown[wire] = None if moment is None else time(moment)
            for wire, render in computed:
                value = render(call, row)
                if value is not UNSET:
                    shown[wire] = value
            return shown

        return show


def _picker(row: Row[Any], columns: Iterable[str]) -> Callable[[Row[Any]], tuple[Any, ...]]:
    """Takes these columns out of rows like this one: by position, as by name costs several times as much."""
    names = row._fields  # made anew each time
    positions = [names.index(column) for column in columns]
    if len(positions) < 2:  # itemgetter gives a tuple for two and more
        return lambda each: tuple(each[position] for position in positions)
    return itemgetter(*positions)


def is_time(annotation: Any) -> bool:
    """Whether a field's annotation is a time, maybe optional."""
    return annotation is datetime or datetime in get_args(annotation)
