"""Keypairs: a user's public keys, put into new servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Row, bindparam

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.listing import page_of
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound, OverQuota
from pileus.services.compute.keys import (
    BadKey,
    generate_ssh,
    generate_x509,
    ssh_fingerprint,
    x509_fingerprint,
)
from pileus.services.compute.model import keypairs
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.store import keypair as store
from pileus.services.compute.versions import V

KEYPAIRS = "os_compute_api:os-keypairs"
_OWNER = keypairs.c.user_id == bindparam("visible_user_id")


def owner(call: Call) -> str:
    """Whose keypairs the call is about: the caller's, or an administrator's choice."""
    named = call.arg("user_id") if call.has(V.KEYPAIRS_OF_OTHERS) else None
    return named or call.context.user_id or ""


class Keypair(
    Resource, member="keypair", collection="keypairs", path="/os-keypairs", table=keypairs, id_param="name"
):
    name: str = field()
    public_key: str = field()
    fingerprint: str = field()
    type: str = field(since=V.KEYPAIR_TYPES)
    user_id: str = field()
    id: int = field()
    created_at: datetime = field()
    updated_at: None = field(render=lambda call, row: None)
    deleted: bool = field(render=lambda call, row: False)
    deleted_at: None = field(render=lambda call, row: None)

    key = "name"
    default_sort = (("name", "asc"), ("id", "asc"))
    filters = {"user_id": lambda call, values: None}  # `owner` reads it

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return _OWNER, {"visible_user_id": owner(call)}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"user_id": row.user_id}

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        return call.has(V.STRICT_QUERIES)

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Keypair {key} not found")


Keypair.show(policy=f"{KEYPAIRS}:show")


class BriefKeypair(msgspec.Struct):
    name: str
    public_key: str
    fingerprint: str
    type: str | UnsetType = UNSET


class Envelope(msgspec.Struct):
    keypair: BriefKeypair


class KeypairsAnswer(msgspec.Struct):
    keypairs: list[Envelope]
    keypairs_links: list[dict[str, str]] | UnsetType = UNSET


class NewKeypair(BriefKeypair, kw_only=True):
    """With the private key, where the cloud has made it."""

    user_id: str
    private_key: str | UnsetType = UNSET


class NewAnswer(msgspec.Struct):
    keypair: NewKeypair


@Keypair.list(policy=f"{KEYPAIRS}:index")
def list_keypairs(call: Call, tx: Tx) -> KeypairsAnswer:
    """Lists a user's keypairs, each in an envelope of its own."""
    call.enforce(f"{KEYPAIRS}:index", {"user_id": owner(call)})
    page = page_of(call, tx, Keypair)
    if not call.has(V.KEYPAIR_PAGES) and page.limit is not None:
        raise BadRequest("limit and marker are not in this version of the API.")
    typed = call.has(V.KEYPAIR_TYPES)
    shown = [
        BriefKeypair(row.name, row.public_key, row.fingerprint, row.type if typed else UNSET)
        for row in page.rows
    ]
    links = call.runtime.service.dialect.links(call, page) if call.has(V.KEYPAIR_PAGES) else {}
    return KeypairsAnswer([Envelope(each) for each in shown], **links)


OldName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9 _-]+\Z")]
NewName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9 _@.-]+\Z")]


class CreateKeypair(Body, wrapper="keypair"):
    old_name: OldName = field(wire="name", required=True, until=V.IMPORTED_KEYS_ONLY.previous)
    new_name: NewName = field(wire="name", required=True, since=V.IMPORTED_KEYS_ONLY)
    public_key: str = field()
    type: Literal["ssh", "x509"] = field(default="ssh", since=V.KEYPAIR_TYPES)
    user_id: str = field(since=V.KEYPAIRS_OF_OTHERS)


def _owner_of_new(call: Call, body: Any) -> dict[str, Any]:
    named = getattr(body, "user_id", UNSET)
    return {"user_id": call.context.user_id if named is UNSET else named}


async def _create(call: Call, body: Any) -> NewAnswer:
    name: str = getattr(body, "old_name", None) or body.new_name
    if name != name.strip():
        raise BadRequest("Keypair data is invalid: a name has no blanks around it.")
    user_id = _owner_of_new(call, body)["user_id"]
    kind = getattr(body, "type", "ssh")
    private = None
    if body.public_key is UNSET:
        if call.has(V.IMPORTED_KEYS_ONLY):
            raise BadRequest("Invalid input for field/attribute keypair. 'public_key' is a required property")
        make = (
            partial(generate_ssh, "Generated-by-Pileus") if kind == "ssh" else partial(generate_x509, user_id)
        )
        made = await asyncio.to_thread(make)
        public, private = made.public, made.private
    else:
        public = body.public_key.strip()
    try:
        fingerprint = ssh_fingerprint(public) if kind == "ssh" else x509_fingerprint(public)
    except BadKey as error:
        raise BadRequest(f"Keypair data is invalid: {error}.") from error
    values = {
        "user_id": user_id,
        "name": name,
        "type": kind,
        "public_key": public,
        "fingerprint": fingerprint,
    }
    await call.runtime.db.write(_insert, call, values)
    return NewAnswer(
        NewKeypair(
            name=name,
            public_key=public,
            fingerprint=fingerprint,
            type=kind if call.has(V.KEYPAIR_TYPES) else UNSET,
            user_id=user_id,
            private_key=UNSET if private is None else private,
        )
    )


Keypair.create(
    policy=f"{KEYPAIRS}:create",
    body=CreateKeypair,
    status=201,
    since=V.KEYPAIR_TYPES,
    target=_owner_of_new,
)(_create)
Keypair.create(
    policy=f"{KEYPAIRS}:create",
    body=CreateKeypair,
    status=200,
    until=V.KEYPAIR_TYPES.previous,
    target=_owner_of_new,
)(_create)


def _insert(tx: Tx, call: Call, values: dict[str, Any]) -> None:
    limit = QUOTAS.limits(tx, call.context.project_id or "")["key_pairs"]
    if 0 <= limit <= store.count(tx, values["user_id"]):
        raise OverQuota("Quota exceeded, too many key pairs.", status=403)
    try:
        store.insert(tx, {**values, "created_at": tx.now})
    except Duplicate as error:
        raise Conflict(f"Key pair '{values['name']}' already exists.") from error


def _delete(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes a keypair; servers keep their copy of its public key."""
    store.delete(tx, row.id)


Keypair.delete(policy=f"{KEYPAIRS}:delete", status=204, since=V.KEYPAIR_TYPES)(_delete)
Keypair.delete(policy=f"{KEYPAIRS}:delete", status=202, until=V.KEYPAIR_TYPES.previous)(_delete)
