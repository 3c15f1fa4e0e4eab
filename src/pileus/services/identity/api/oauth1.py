"""OAuth 1.0a: consumers, and how one gets an access token from a user."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.answer import Media
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, read_only, sort, update
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import BadRequest, Forbidden, NotFound, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_hex
from pileus.services.identity import oauth1_signature
from pileus.services.identity.api.common import changed, given, merged_extra
from pileus.services.identity.api.credential import keys_of, sealed
from pileus.services.identity.api.roles_given import RoleRef, named_roles
from pileus.services.identity.delegation_model import access_tokens, consumers, request_tokens
from pileus.services.identity.store import oauth, project, role

routes = Routes()
FORM = Media("application/x-www-form-urlencoded", {"type": "string"})


class Consumer(
    Resource,
    member="consumer",
    collection="consumers",
    table=consumers,
    path="/OS-OAUTH1/consumers",
    extras="extra",
):
    id: str = field(read_only, sort)
    description: str | None = field(create, update, default=None)
    links: dict[str, Any] = field(
        render=lambda call, row: {"self": f"{call.base_url}/OS-OAUTH1/consumers/{row.id}"}
    )

    default_sort = (("id", "asc"),)


@Consumer.create(policy="identity:create_consumer", secret=True)
def create_consumer(call: Call, tx: Tx, body: Any) -> dict[str, Any]:
    """Makes a consumer. This answer alone shows its secret."""
    secret = secrets.token_hex(16)
    values = {
        "id": new_hex(),
        "description": body.description,
        "encrypted_secret": sealed(keys_of(call), secret),
        "extra": {name: value for name, value in body.extra.items() if name not in ("id", "secret")},
        "created_at": tx.now,
    }
    row = rows.add(tx, consumers, values)
    return {"consumer": {**Consumer.view(call)(row), "secret": secret}}


@Consumer.update(policy="identity:update_consumer", method="PATCH")
def update_consumer(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a consumer; its secret stays what it is."""
    if "secret" in body.extra:
        raise BadRequest("The secret of a consumer can't be changed: make a new consumer.")
    rows.change(tx, consumers, row.id, **given(body, "extra"), extra=merged_extra(row, body))
    return rows.existing(tx, consumers, row.id)


@Consumer.delete(policy="identity:delete_consumer")
def delete_consumer(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a consumer; what it got from users is void."""
    changed(call, tx)
    rows.remove(tx, consumers, row.id)


Consumer.show(policy="identity:get_consumer")
Consumer.list(policy="identity:list_consumers")


def secret_of(call: Call, row: Row[Any]) -> str:
    """The secret of a consumer, a request token or an access token."""
    found = keys_of(call).decrypt(row.encrypted_secret.encode())
    if found is None:
        raise LookupError(f"no key in {keys_of(call).folder} opens the secret of {row.id}")
    return found.decode()


def _answer(call: Call, row: Row[Any]) -> Reply:
    said = {"oauth_token": row.id, "oauth_token_secret": secret_of(call, row)}
    if row.expires_at is not None:
        said["oauth_expires_at"] = call.runtime.service.dialect.time(row.expires_at)
    return Reply(201, urlencode(said, safe=":").encode(), {"content-type": FORM.type})


def _until(call: Call, tx: Tx, setting: str) -> datetime | None:
    seconds = getattr(call.runtime.state.settings, setting)
    return tx.now + timedelta(seconds=seconds) if seconds else None


def _consumer(tx: Tx, signed: oauth1_signature.Signed) -> Row[Any]:
    row = oauth.get_consumer(tx, signed.consumer_id)
    if row is None:
        raise NotFound(f"Could not find consumer: {signed.consumer_id}.")
    return row


@routes.add("POST", "/OS-OAUTH1/request_token", policy=ANYONE, status=201, answers=FORM)
def request_token(call: Call, tx: Tx) -> Reply:
    """A consumer asks for a token on a project, for a user to authorize."""
    signed = oauth1_signature.parameters(call)
    project_id = call.header("requested-project-id")
    if not project_id:
        raise BadRequest("The request has no header Requested-Project-Id.")
    if project.get(tx, project_id) is None:
        raise NotFound(f"Could not find project: {project_id}.")
    consumer = _consumer(tx, signed)
    oauth1_signature.check(tx, call, signed, secret_of(call, consumer))
    values = {
        "id": new_hex(),
        "consumer_id": consumer.id,
        "encrypted_secret": sealed(keys_of(call), secrets.token_hex(16)),
        "requested_project_id": project_id,
        "expires_at": _until(call, tx, "oauth_request_token_duration"),
    }
    return _answer(call, rows.add(tx, request_tokens, values))


def _requested(tx: Tx, key: str | None) -> Row[Any]:
    row = oauth.get_request_token(tx, key)
    if row is None:
        raise NotFound(f"Could not find request token: {key}.")
    if oauth.is_over(row, tx.now):
        raise Unauthorized("The request token has expired.")
    return row


class Authorization(msgspec.Struct):
    """The body of `PUT /v3/OS-OAUTH1/authorize/{id}`."""

    roles: list[RoleRef] = []


class Verifier(msgspec.Struct):
    oauth_verifier: str


class VerifierAnswer(msgspec.Struct):
    token: Verifier


@routes.add(
    "PUT",
    "/OS-OAUTH1/authorize/{request_token_id}",
    policy="identity:authorize_request_token",
    body=Authorization,
)
def authorize(call: Call, tx: Tx, body: Authorization) -> VerifierAnswer:
    """A user gives some of its roles to a consumer's request. The verifier in the answer is for the consumer."""
    if call.context.is_delegated:
        raise Forbidden("Cannot authorize a request token with a token issued via delegation.")
    row = _requested(tx, call.params["request_token_id"])
    wanted = named_roles(tx, body.roles)
    target = project.get(tx, row.requested_project_id)
    user_id = call.context.user_id or ""
    held = (
        {each.id for each in role.effective(tx, user_id, "project", target)} if target is not None else set()
    )
    if not wanted or not held.issuperset(wanted):
        raise Unauthorized("The authorizing user does not have a role that was asked for.")
    verifier = secrets.token_hex(4)
    authorized = {"verifier": verifier, "authorizing_user_id": user_id, "role_ids": wanted}
    rows.change(tx, request_tokens, row.id, **authorized)
    return VerifierAnswer(Verifier(verifier))


@routes.add("POST", "/OS-OAUTH1/access_token", policy=ANYONE, status=201, answers=FORM)
def access_token(call: Call, tx: Tx) -> Reply:
    """A consumer exchanges a request token that a user has authorized."""
    signed = oauth1_signature.parameters(call)
    if not signed.token_id or not signed.verifier:
        raise BadRequest("The Authorization header needs oauth_token and oauth_verifier.")
    row = _requested(tx, signed.token_id)
    consumer = oauth.get_consumer(tx, signed.consumer_id)
    if consumer is None or row.consumer_id != consumer.id:
        raise Unauthorized("The request token is not this consumer's.")
    oauth1_signature.check(tx, call, signed, secret_of(call, consumer), secret_of(call, row))
    if row.authorizing_user_id is None or not secrets.compare_digest(
        (row.verifier or "").encode(), signed.verifier.encode()
    ):
        raise Unauthorized("The request token has not been authorized, or not with this verifier.")
    values = {
        "id": new_hex(),
        "consumer_id": consumer.id,
        "authorizing_user_id": row.authorizing_user_id,
        "encrypted_secret": sealed(keys_of(call), secrets.token_hex(16)),
        "project_id": row.requested_project_id,
        "role_ids": row.role_ids,
        "expires_at": _until(call, tx, "oauth_access_token_duration"),
    }
    made = rows.add(tx, access_tokens, values)
    rows.remove(tx, request_tokens, row.id)
    return _answer(call, made)
