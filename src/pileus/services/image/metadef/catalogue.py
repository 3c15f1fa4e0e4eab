"""The definitions that a new cloud has: upstream's names, types and values (Glance's standard catalogue)."""

from __future__ import annotations

import importlib.resources

import msgspec

from pileus.kernel.db import Tx
from pileus.services.image.metadef import store
from pileus.services.image.metadef.shapes import NewNamespace, kept

OWNER = "admin"
"""No project's id: nobody has the standard definitions."""


def lay(tx: Tx) -> None:
    """Makes them at the first start; later an administrator may have removed them for a reason."""
    if not store.is_empty(tx):
        return
    text = importlib.resources.files(__package__).joinpath("catalogue.json").read_bytes()
    for each in msgspec.json.decode(text, type=list[NewNamespace]):
        put(tx, each, OWNER)


def put(tx: Tx, new: NewNamespace, project_id: str | None = None) -> str:
    """The id of a new namespace with all that is in it. Raises Duplicate."""
    values = {
        "namespace": new.namespace,
        "display_name": new.display_name,
        "description": new.description,
        "visibility": new.visibility,
        "protected": new.protected,
        "project_id": project_id,
    }
    namespace_id = store.insert_namespace(tx, values)
    store.insert_items(tx, namespace_id, "object", {each.name: kept(each) for each in new.objects})
    properties = {name: kept(each) for name, each in new.properties.items()}
    store.insert_items(tx, namespace_id, "property", properties)
    store.insert_items(tx, namespace_id, "tag", {each.name: {} for each in new.tags})
    for each in {each.name: each for each in new.resource_type_associations}.values():
        store.associate(tx, namespace_id, {"name": each.name, **kept(each)})
    return namespace_id
