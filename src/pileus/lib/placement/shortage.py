"""Why a request has no candidate, in words for the one who asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from pileus.lib.placement.model import NONE, Group, Provider, Providers, Request
from pileus.lib.placement.search import search

_MIB_PER_GIB: Final = 1024


def quantity(resource_class: str, amount: int, *, named: bool = True) -> str:
    """An amount of a resource class as people say it: `64 GiB of memory`, `2 vCPUs`, or bare `64 GiB`."""
    match resource_class:
        case "VCPU" | "PCPU":
            unit = "vCPU" if resource_class == "VCPU" else "dedicated CPU"
            return f"{amount} {unit}{'' if amount == 1 else 's'}"
        case "MEMORY_MB":
            # In GiB only where that is exact to the quarter, lest what is asked and what is free look alike.
            in_gib = amount >= _MIB_PER_GIB and amount % (_MIB_PER_GIB // 4) == 0
            size = f"{amount / _MIB_PER_GIB:g} GiB" if in_gib else f"{amount} MiB"
            return f"{size} of memory" if named else size
        case "DISK_GB":
            return f"{amount} GiB of disk" if named else f"{amount} GiB"
        case _:
            return f"{amount} {resource_class}" if named else str(amount)


def explain_shortage(providers: Providers, request: Request) -> str:
    """What stands in the way of a request that `search` finds no candidate for, as one clause.

    Names the scarce resource and the most there is of it; or the first condition (trait, aggregate, tree,
    group policy) without which there would be a candidate; or that no host has all of it at once.
    """
    if len(providers) == 0:
        return "there are no hosts yet"
    bare = _without(request, "required", "forbidden", "member_of", "not_member_of", "in_tree")
    bare = msgspec.structs.replace(
        bare, group_policy="none", same_subtree=(), root_required=NONE, root_forbidden=NONE, limit=1
    )
    everyone = [provider for root in providers.roots for provider in providers.tree(root)]
    for resource_class, amount in _amounts(request):
        if shortage := _shortage(everyone, resource_class, amount):
            return shortage
    if not search(providers, bare):
        wanted = ", ".join(quantity(*amount) for amount in _sums(request))
        return f"no single host has {wanted} free at once, though each of these is free somewhere"
    return _condition(providers, msgspec.structs.replace(request, limit=1))


def _without(request: Request, *fields: str) -> Request:
    empty = Group()
    groups = {
        suffix: msgspec.structs.replace(group, **{field: getattr(empty, field) for field in fields})
        for suffix, group in request.groups.items()
    }
    return msgspec.structs.replace(request, groups=groups)


def _amounts(request: Request) -> Iterator[tuple[str, int]]:
    for group in request.groups.values():
        yield from group.resources.items()


def _sums(request: Request) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for resource_class, amount in _amounts(request):
        sums[resource_class] = sums.get(resource_class, 0) + amount
    return list(sums.items())


def _shortage(everyone: Iterable[Provider], resource_class: str, amount: int) -> str | None:
    """Why no provider at all has this much of one class; None when some has."""
    stocked = [provider for provider in everyone if resource_class in provider.inventories]
    if not stocked:
        return f"no host offers {resource_class}"
    if any(provider.has_room(resource_class, amount) for provider in stocked):
        return None
    inventories = [provider.inventories[resource_class] for provider in stocked]
    wanted = quantity(resource_class, amount)
    free = max(
        inventory.largest_fit(provider.used.get(resource_class, 0))
        for provider, inventory in zip(stocked, inventories, strict=True)
    )
    ever = max(inventory.largest_fit(0) for inventory in inventories)
    if free >= amount:
        steps = sorted({(inventory.min_unit, inventory.step_size) for inventory in inventories})
        units = " or ".join(f"from {least} in steps of {step}" for least, step in steps)
        return f"no host hands out {wanted}: {resource_class} comes {units}"
    if ever < amount:
        most = quantity(resource_class, ever, named=False)
        return f"no host is large enough for {wanted}; the largest can give {most} to one server"
    if free == 0:
        return f"no host has {wanted} free; all of it is in use"
    return f"no host has {wanted} free; the largest has {quantity(resource_class, free, named=False)}"


def _condition(providers: Providers, request: Request) -> str:
    """The condition that keeps out the hosts that have room."""
    groups = request.groups.values()
    traits = sorted({" or ".join(sorted(any_of)) for group in groups for any_of in group.required})
    forbidden = sorted({trait for group in groups for trait in group.forbidden})
    replace = msgspec.structs.replace
    relaxed = (
        (_without(request, "in_tree"), "the host that was asked for has not enough room"),
        (_without(request, "required"), "no host with enough room has the trait " + " and ".join(traits)),
        (
            _without(request, "forbidden"),
            "all hosts with enough room have a forbidden trait: " + ", ".join(forbidden),
        ),
        (
            _without(request, "member_of", "not_member_of"),
            "no host with enough room is in the aggregates (zones) that were asked for",
        ),
        (
            replace(request, root_required=NONE, root_forbidden=NONE),
            "no host with enough room has the traits that its root must have",
        ),
        (
            replace(request, group_policy="none"),
            "no host can meet each request group from a different provider",
        ),
        (replace(request, same_subtree=()), "no host can meet the request groups from one subtree"),
    )
    for without, message in relaxed:
        if search(providers, without):
            return message
    return "no host with enough room meets all conditions (traits, aggregates, tree, groups) together"
