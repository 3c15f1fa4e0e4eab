"""Credentials: what a user keeps here to prove itself elsewhere, or by EC2 keys and TOTP, here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row, bindparam

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, filter, read_only, sort
from pileus.kernel.api.listing import listing
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import changed, self_link
from pileus.services.identity.delegation_model import credentials
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.store import credential as store

_OWN = credentials.c.user_id == bindparam("own_user_id")
_SCOPE = ("trust_id", "app_cred_id", "access_token_id", "access_id")
"""Names in an EC2 credential's blob that say what its tokens are limited to: they stay as they were made."""


def keys_of(call: Call) -> KeyFolder:
    found: KeyFolder = call.runtime.state.credential_keys
    return found


def sealed(keys: KeyFolder, text: str) -> str:
    return keys.encrypt(text.encode()).decode()


def opened(keys: KeyFolder, row: Row[Any]) -> str:
    """What is in a credential; raises LookupError where its key is lost."""
    found = keys.decrypt(row.encrypted_blob.encode())
    if found is None:
        raise LookupError(f"no key in {keys.folder} opens credential {row.id}")
    return found.decode()


def check_direct(call: Call) -> None:
    """403 for a token that was got by something handed out: it sees and makes no credentials."""
    if call.context.is_delegated:
        raise Forbidden("A token got by delegation can't access credentials directly.")


class Credential(Resource, member="credential", collection="credentials", table=credentials, extras="extra"):
    id: str = field(read_only, sort)
    type: str = field(create, filter, sort, required=True)
    user_id: str = field(create, filter, required=True)
    project_id: str | None = field(create, default=None)
    blob: str = field(create, column=None, required=True, render=lambda call, row: opened(keys_of(call), row))
    links: dict[str, Any] = field(render=self_link("credentials"))

    default_sort = (("id", "asc"),)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if call.allows("identity:get_credential", {"target.credential.user_id": "anybody else"}):
            return None
        return _OWN, {"own_user_id": call.context.user_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"target.credential.user_id": row.user_id}


def ec2_blob(text: str) -> dict[str, Any]:
    """400 where it is none: `{"access": …, "secret": …}`."""
    try:
        blob = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("Invalid blob in credential: that of an EC2 credential is a JSON object.") from error
    if not isinstance(blob.get("access"), str) or not blob["access"]:
        raise BadRequest("Invalid blob in credential: that of an EC2 credential has an access key, `access`.")
    return blob


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    return {"target.credential.user_id": body.user_id}


@Credential.create(policy="identity:create_credential", target=_new_target, secret=True)
def create_credential(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Keeps a credential, sealed."""
    check_direct(call)
    credential_id = new_hex()
    if body.type.lower() == store.EC2:
        if not body.project_id:
            raise BadRequest("Invalid input: 'project_id' is a required property of an EC2 credential")
        credential_id = store.ec2_id(ec2_blob(body.blob)["access"])
    values = {
        "id": credential_id,
        "type": body.type,
        "user_id": body.user_id,
        "project_id": body.project_id,
        "encrypted_blob": sealed(keys_of(call), body.blob),
        "extra": {name: value for name, value in body.extra.items() if name != "id"},
        "created_at": tx.now,
    }
    try:
        return store.insert(tx, values)
    except Duplicate as error:
        raise Conflict(
            "Conflict occurred attempting to store credential - there is one with this key."
        ) from error


class CredentialUpdate(Body, wrapper="credential"):
    blob: str = field(required=True)
    type: str = field()
    """This and the rest only as they are: the stock client sends them along."""
    user_id: str = field()
    project_id: str | None = field()


@Credential.update(policy="identity:update_credential", method="PATCH", body=CredentialUpdate, secret=True)
def update_credential(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes what is in it; whose it is and for what stays."""
    check_direct(call)
    for name in ("type", "user_id", "project_id"):
        if getattr(body, name) not in (UNSET, getattr(row, name)):
            raise BadRequest(f"{name} of a credential can't be changed: make a new one.")
    if row.type.lower() == store.EC2:
        old, new = ec2_blob(opened(keys_of(call), row)), ec2_blob(body.blob)
        for name in _SCOPE:
            if old.get(name, UNSET) != new.get(name, UNSET):
                raise BadRequest(f"{name} can not be updated for credential: make a new one.")
        changed(call, tx)  # others remember the secret as they remember tokens
    return store.reseal(tx, row.id, sealed(keys_of(call), body.blob))


@Credential.delete(policy="identity:delete_credential")
def delete_credential(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a credential."""
    check_direct(call)
    store.delete(tx, row.id)
    if row.type.lower() == store.EC2:
        changed(call, tx)


@Credential.show(policy="identity:get_credential")
def show_credential(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    check_direct(call)
    return row


def _own_target(call: Call, body: Any) -> Mapping[str, Any]:
    return {"target.credential.user_id": call.context.user_id}


@Credential.list(policy="identity:list_credentials", target=_own_target)
def list_credentials(call: Call, tx: Tx) -> Any:
    """Lists one's own credentials, or for administrators and readers of the system, all."""
    if call.context.is_delegated:
        links = {"self": call.root_url + call.path, "previous": None, "next": None}
        return {"credentials": [], "links": links}
    return listing(call, tx, Credential, "full")
