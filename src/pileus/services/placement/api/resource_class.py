"""Resource classes: what can be counted."""

from __future__ import annotations

import msgspec

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.placement import policy
from pileus.services.placement.api.common import CustomName, answer, location, relative
from pileus.services.placement.dialect import DUPLICATE_NAME
from pileus.services.placement.names import CUSTOM
from pileus.services.placement.store import inventory as inventories
from pileus.services.placement.store import provider as providers
from pileus.services.placement.store.name import CLASSES
from pileus.services.placement.versions import V

routes = Routes()
_ALL, _ONE = "/resource_classes", "/resource_classes/{name}"


class NewClass(msgspec.Struct, forbid_unknown_fields=True):
    name: CustomName


class ResourceClass(msgspec.Struct):
    name: str
    links: list[dict[str, str]]


class ClassesAnswer(msgspec.Struct):
    resource_classes: list[ResourceClass]


def _shown(call: Call, name: str) -> ResourceClass:
    return ResourceClass(name, [{"rel": "self", "href": relative(call, f"/resource_classes/{name}")}])


@routes.add("GET", _ALL, policy=policy.LIST_CLASSES, since=V.CUSTOM_CLASSES, answers=ClassesAnswer)
def list_classes(call: Call, tx: Tx) -> Reply:
    """All resource classes."""
    names = [*CLASSES.standard(), *CLASSES.custom(tx)]
    return answer(call, ClassesAnswer([_shown(call, name) for name in names]), tx.now)


@routes.add(
    "POST",
    _ALL,
    policy=policy.CREATE_CLASS,
    body=NewClass,
    status=201,
    since=V.CUSTOM_CLASSES,
    answers=NOTHING,
)
def create_class(call: Call, tx: Tx, body: NewClass) -> Reply:
    """Makes a resource class of the cloud's own."""
    if not CLASSES.add(tx, body.name):
        raise Conflict(f"Conflicting resource class already exists: {body.name}", kind=DUPLICATE_NAME)
    return Reply(201, b"", location(call, f"/resource_classes/{body.name}"))


def _known(call: Call, tx: Tx) -> str:
    name = call.params["name"]
    if not CLASSES.knows(tx, name):
        raise NotFound(f"No such resource class: {name}")
    return name


@routes.add("GET", _ONE, policy=policy.SHOW_CLASS, since=V.CUSTOM_CLASSES, answers=ResourceClass)
def show_class(call: Call, tx: Tx) -> Reply:
    """One resource class."""
    name = _known(call, tx)
    row = CLASSES.get(tx, name)
    return answer(call, _shown(call, name), tx.now if row is None else row.updated_at)


@routes.add(
    "PUT",
    _ONE,
    policy=policy.UPDATE_CLASS,
    status=201,
    since=V.PUT_CLASS_CREATES,
    answers=NOTHING,
    also={204: NOTHING},
)
def make_class(call: Call, tx: Tx) -> Reply:
    """Makes a resource class of the cloud's own; 204 where there is one already."""
    name = call.params["name"]
    try:
        msgspec.convert(name, CustomName)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"The resource class {name!r} is invalid: it must begin with {CUSTOM}, go on with A to Z, "
            "0 to 9 and _, and have at most 255 characters."
        ) from error
    made = CLASSES.add(tx, name)
    return Reply(201 if made else 204, b"", location(call, f"/resource_classes/{name}"))


@routes.add(
    "PUT",
    _ONE,
    policy=policy.UPDATE_CLASS,
    body=NewClass,
    since=V.CUSTOM_CLASSES,
    until=V.TRAITS,
    answers=ResourceClass,
)
def rename_class(call: Call, tx: Tx, body: NewClass) -> Reply:
    """Renames a resource class of the cloud's own, wherever it is used."""
    name = _known(call, tx)
    if not name.startswith(CUSTOM):
        raise BadRequest(f"Cannot update standard resource class {name}")
    if body.name != name:
        if CLASSES.knows(tx, body.name):
            raise Conflict(f"Resource class already exists: {body.name}", kind=DUPLICATE_NAME)
        CLASSES.rename(tx, name, body.name)
        inventories.rename_class(tx, name, body.name)
        providers.mark_holders(tx, body.name)
    return answer(call, _shown(call, body.name), tx.now)


@routes.add("DELETE", _ONE, policy=policy.DELETE_CLASS, status=204, since=V.CUSTOM_CLASSES)
def delete_class(call: Call, tx: Tx) -> None:
    """Deletes a resource class of the cloud's own that no provider has."""
    name = _known(call, tx)
    if not name.startswith(CUSTOM):
        raise BadRequest(f"Error in delete resource class: {name} is a standard one.")
    if inventories.uses_class(tx, name):
        raise Conflict(
            f"Error in delete resource class: providers have inventories of {name}; delete them first."
        )
    CLASSES.delete(tx, name)
