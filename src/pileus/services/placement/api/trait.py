"""Traits: what there are, and those of a provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.query import Param
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.placement import policy
from pileus.services.placement.api.common import (
    PROVIDER,
    CustomName,
    TraitName,
    answer,
    check_generation,
    location,
    provider_of,
    stamp,
)
from pileus.services.placement.names import CUSTOM
from pileus.services.placement.store import provider as providers
from pileus.services.placement.store.name import TRAITS
from pileus.services.placement.versions import V

routes = Routes()
_ALL, _ONE, _OF_PROVIDER = "/traits", "/traits/{name}", PROVIDER + "/traits"


class TraitsAnswer(msgspec.Struct):
    traits: list[str]


class ProviderTraits(msgspec.Struct, forbid_unknown_fields=True):
    """Asked for as they are shown."""

    traits: list[TraitName]
    resource_provider_generation: int


@routes.add(
    "GET",
    _ALL,
    policy=policy.LIST_TRAITS,
    since=V.TRAITS,
    query=(Param(name="name"), Param(name="associated")),
    answers=TraitsAnswer,
)
def list_traits(call: Call, tx: Tx) -> Reply:
    """All traits, or by name and by whether a provider has them."""
    names = {*TRAITS.standard(), *TRAITS.custom(tx)}
    if (wanted := call.arg("name")) is not None:
        operator, _, operand = wanted.partition(":")
        if operator == "startswith":
            names = {name for name in names if name.startswith(operand)}
        elif operator == "in":
            names &= set(operand.split(","))
        else:
            raise BadRequest(
                f"Badly formatted name parameter: expected startswith:PREFIX or in:NAME,NAME, not {wanted!r}."
            )
    if (associated := call.arg("associated")) is not None:
        if associated.lower() not in ("true", "false"):
            raise BadRequest(f"The query parameter associated is true or false, not {associated!r}.")
        in_use = providers.traits_in_use(tx)
        names = names & in_use if read_bool("associated", associated) else names - in_use
    return answer(call, TraitsAnswer(sorted(names)), tx.now)


def _modified(tx: Tx, name: str) -> datetime:
    """When the trait was made; 404 where it was not."""
    if not TRAITS.knows(tx, name):
        raise NotFound(f"No such trait(s): {name}.")
    row = TRAITS.get(tx, name)
    return tx.now if row is None else row.updated_at


@routes.add("GET", _ONE, policy=policy.SHOW_TRAIT, status=204, since=V.TRAITS)
def show_trait(call: Call, tx: Tx) -> Reply:
    """Whether there is such a trait."""
    return stamp(call, Reply(204), _modified(tx, call.params["name"]))


@routes.add(
    "PUT",
    _ONE,
    policy=policy.UPDATE_TRAIT,
    status=201,
    since=V.TRAITS,
    answers=NOTHING,
    also={204: NOTHING},
)
def make_trait(call: Call, tx: Tx) -> Reply:
    """Makes a trait of the cloud's own; 204 where there is one already."""
    name = call.params["name"]
    try:
        msgspec.convert(name, CustomName)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"The trait {name!r} is invalid: it must begin with {CUSTOM}, go on with A to Z, 0 to 9 and _, "
            "and have at most 255 characters."
        ) from error
    made = TRAITS.add(tx, name)
    return stamp(
        call, Reply(201 if made else 204, b"", location(call, f"/traits/{name}")), _modified(tx, name)
    )


@routes.add("DELETE", _ONE, policy=policy.DELETE_TRAIT, status=204, since=V.TRAITS)
def delete_trait(call: Call, tx: Tx) -> None:
    """Deletes a trait of the cloud's own that no provider has."""
    name = call.params["name"]
    if not TRAITS.knows(tx, name):
        raise NotFound(f"No such trait(s): {name}.")
    if not name.startswith(CUSTOM):
        raise BadRequest(f"Cannot delete standard trait {name}.")
    if providers.uses_trait(tx, name):
        raise Conflict(f"The trait {name} is in use by a resource provider.")
    TRAITS.delete(tx, name)


def _shown(call: Call, tx: Tx, provider: Row[Any]) -> Reply:
    traits = ProviderTraits(providers.traits_of(tx, provider.id), provider.generation)
    return answer(call, traits, provider.updated_at)


@routes.add("GET", _OF_PROVIDER, policy=policy.LIST_PROVIDER_TRAITS, since=V.TRAITS, answers=ProviderTraits)
def list_provider_traits(call: Call, tx: Tx) -> Reply:
    """The traits of a provider."""
    return _shown(call, tx, provider_of(call, tx))


@routes.add(
    "PUT",
    _OF_PROVIDER,
    policy=policy.UPDATE_PROVIDER_TRAITS,
    body=ProviderTraits,
    since=V.TRAITS,
    answers=ProviderTraits,
)
def set_provider_traits(call: Call, tx: Tx, body: ProviderTraits) -> Reply:
    """Replaces the traits of a provider."""
    provider = provider_of(call, tx)
    check_generation(provider, body.resource_provider_generation)
    if unknown := TRAITS.unknown(tx, body.traits):
        raise BadRequest(f"No such trait(s): {', '.join(unknown)}.")
    return _shown(call, tx, _set(tx, provider, set(body.traits)))


@routes.add("DELETE", _OF_PROVIDER, policy=policy.DELETE_PROVIDER_TRAITS, status=204, since=V.TRAITS)
def clear_provider_traits(call: Call, tx: Tx) -> None:
    """Takes all traits from a provider."""
    _set(tx, provider_of(call, tx), set())


def _set(tx: Tx, provider: Row[Any], names: set[str]) -> Row[Any]:
    """The provider's next generation, if anything changes."""
    if names == set(providers.traits_of(tx, provider.id)):
        return provider
    providers.set_traits(tx, provider.id, sorted(names))
    return providers.advance(tx, provider.id)
