"""EC2 keys of users, and tokens for requests that were signed with them: `ec2tokens`, `s3tokens`."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import NotFound, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.lib import aws_signature
from pileus.services.identity.api.auth import SUBJECT, TokenAnswer, issued
from pileus.services.identity.api.common import changed
from pileus.services.identity.api.credential import check_direct, ec2_blob, keys_of, opened, sealed
from pileus.services.identity.authenticate import admit
from pileus.services.identity.authenticate.method import Attempt, FoundScope, Proof
from pileus.services.identity.store import credential as store
from pileus.services.identity.store import project, trust, user

routes = Routes()
_ALL = "/users/{user_id}/credentials/OS-EC2"
_ONE = _ALL + "/{credential_id}"
SIGNED_FOR = timedelta(minutes=15)
METHOD = "ec2credential"


class NewKey(msgspec.Struct):
    """The body of `POST /v3/users/{id}/credentials/OS-EC2`."""

    tenant_id: str


class Key(msgspec.Struct, kw_only=True):
    user_id: str
    tenant_id: str | None
    access: str
    secret: str | None
    trust_id: str | None
    links: dict[str, str]


class KeyAnswer(msgspec.Struct):
    credential: Key


class KeysAnswer(msgspec.Struct):
    credentials: list[Key]
    links: dict[str, str | None]


def _shown(call: Call, row: Row[Any]) -> Key:
    blob = ec2_blob(opened(keys_of(call), row))
    return Key(
        user_id=row.user_id,
        tenant_id=row.project_id,
        access=blob["access"],
        secret=blob.get("secret"),
        trust_id=blob.get("trust_id"),
        links={"self": f"{call.base_url}/users/{row.user_id}/credentials/OS-EC2/{blob['access']}"},
    )


def _check_user(call: Call, tx: Tx) -> str:
    if user.get(tx, call.params["user_id"]) is None:
        raise NotFound(f"Could not find user: {call.params['user_id']}.")
    return call.params["user_id"]


@routes.add("POST", _ALL, policy=AUTHENTICATED, status=201, body=NewKey, secret=True)
def create_key(call: Call, tx: Tx, body: NewKey) -> KeyAnswer:
    """Makes a pair of EC2 keys for a project."""
    call.enforce("identity:ec2_create_credential", {"target.credential.user_id": call.params["user_id"]})
    user_id = _check_user(call, tx)
    if project.get(tx, body.tenant_id) is None:
        raise NotFound(f"Could not find project: {body.tenant_id}.")
    check_direct(call)
    blob = {"access": secrets.token_hex(16), "secret": secrets.token_hex(16), "trust_id": None}
    values = {
        "id": store.ec2_id(str(blob["access"])),
        "type": store.EC2,
        "user_id": user_id,
        "project_id": body.tenant_id,
        "encrypted_blob": sealed(keys_of(call), msgspec.json.encode(blob).decode()),
        "extra": {},
        "created_at": tx.now,
    }
    return KeyAnswer(_shown(call, store.insert(tx, values)))


@routes.add("GET", _ALL, policy=AUTHENTICATED)
def list_keys(call: Call, tx: Tx) -> KeysAnswer:
    """A user's EC2 keys."""
    call.enforce("identity:ec2_list_credentials", {"user_id": call.params["user_id"]})
    check_direct(call)
    rows = store.of_user(tx, _check_user(call, tx), store.EC2)
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return KeysAnswer([_shown(call, row) for row in rows], links)


def _key(call: Call, tx: Tx, rule: str) -> Row[Any]:
    row = store.get(tx, store.ec2_id(call.params["credential_id"]))
    if row is None:
        raise NotFound(f"Could not find credential: {call.params['credential_id']}.")
    call.enforce(rule, {"target.credential.user_id": row.user_id})
    _check_user(call, tx)
    if row.type != store.EC2:
        raise Unauthorized("EC2 access key not found.")
    check_direct(call)
    return row


@routes.add("GET", _ONE, policy=AUTHENTICATED)
def show_key(call: Call, tx: Tx) -> KeyAnswer:
    """A pair of EC2 keys by its access key."""
    return KeyAnswer(_shown(call, _key(call, tx, "identity:ec2_get_credential")))


@routes.add("DELETE", _ONE, policy=AUTHENTICATED, status=204)
def delete_key(call: Call, tx: Tx) -> None:
    """Deletes a pair of EC2 keys."""
    store.delete(tx, _key(call, tx, "identity:ec2_delete_credential").id)
    changed(call, tx)  # others remember the secret as they remember tokens


# Tokens for signed requests


class SignedParts(msgspec.Struct):
    """What was signed: the parts of a request (`ec2tokens`), or the string to sign, base64 (`token` of `s3tokens`)."""

    access: str | None = None
    signature: str | None = None
    verb: str = ""
    host: str = ""
    path: str = ""
    params: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    body_hash: str = ""
    token: str = ""


class SignedBody(msgspec.Struct):
    """Any of three names for the same, as upstream takes them."""

    credentials: SignedParts | None = None
    credential: SignedParts | None = None
    ec2_credentials: SignedParts | None = msgspec.field(default=None, name="ec2Credentials")


@routes.add("POST", "/ec2tokens", policy="identity:ec2tokens_validate", body=SignedBody, answers=TokenAnswer)
async def ec2_token(call: Call, body: SignedBody) -> Reply:
    """A token for who signed a request with an EC2 key."""
    reply = await _token(call, body, _signed_parts)
    reply.status = 200
    return reply


@routes.add("POST", "/s3tokens", policy="identity:s3tokens_validate", body=SignedBody, answers=TokenAnswer)
async def s3_token(call: Call, body: SignedBody) -> Reply:
    """What a token would say for who signed an S3 request with an EC2 key; the token itself is not handed out."""
    reply = await _token(call, body, _signed_text)
    reply.status = 200
    del reply.headers[SUBJECT]
    return reply


def _signed_parts(parts: SignedParts, secret: str, signature: str) -> bool:
    request = aws_signature.SignedRequest(
        verb=parts.verb,
        host=parts.host,
        path=parts.path,
        params={name: str(value) for name, value in parts.params.items()},
        headers={name: str(value) for name, value in parts.headers.items()},
        body_hash=parts.body_hash,
    )
    return aws_signature.matches(request, secret, signature)


def _signed_text(parts: SignedParts, secret: str, signature: str) -> bool:
    try:
        text = base64.urlsafe_b64decode(parts.token)
    except (binascii.Error, ValueError) as error:
        raise aws_signature.Unsigned("token is no base64") from error
    return hmac.compare_digest(aws_signature.sign_text(text, secret).encode(), signature.encode())


async def _token(call: Call, body: SignedBody, check: Any) -> Reply:
    parts = body.credentials or body.credential or body.ec2_credentials
    if parts is None or parts.access is None:
        raise Unauthorized("EC2 signature not supplied: the body names no access key.")
    if parts.signature is None:
        raise Unauthorized("EC2 signature not supplied.")
    row = await call.runtime.db.read(store.get, store.ec2_id(parts.access))
    if row is None or row.type != store.EC2:
        raise NotFound("EC2 access key not found.")
    blob = ec2_blob(opened(keys_of(call), row))
    try:
        good = check(parts, str(blob.get("secret") or ""), parts.signature)
    except aws_signature.Unsigned as error:
        raise Unauthorized(f"Invalid EC2 signature: {error}.") from error
    if not good:
        raise Unauthorized("Invalid EC2 signature.")
    _check_time(call, parts)
    proof = await call.runtime.db.read(_proof, row, blob)
    return await issued(call, await admit(Attempt(call.runtime.state, call), proof, None))


def _check_time(call: Call, parts: SignedParts) -> None:
    """401 for a request that was signed too long ago; one that says no time was meant to have none."""
    headers = {name.lower(): value for name, value in parts.headers.items()}
    text = parts.params.get("Timestamp") or headers.get("x-amz-date") or parts.params.get("X-Amz-Date")
    if not text:
        return
    try:
        moment = datetime.fromisoformat(str(text))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        late = call.runtime.clock.now() > moment + SIGNED_FOR
    except (ValueError, OverflowError) as error:
        raise Unauthorized(f"The signed request's time {text!r} can't be read.") from error
    if late:
        raise Unauthorized("The signature has expired: the request was signed too long ago.")


def _proof(tx: Tx, row: Row[Any], blob: Mapping[str, Any]) -> Proof:
    """Who an EC2 credential stands for, within what its blob limits it to."""
    user_id, claims = row.user_id, {}
    if blob.get("trust_id"):
        found = trust.get(tx, str(blob["trust_id"]))
        if found is None or row.user_id not in (found.trustor_user_id, found.trustee_user_id):
            raise Unauthorized("The trust of the EC2 credential is gone.")
        claims["trust_id"] = found.id
        if found.impersonation:
            user_id = found.trustee_user_id
    elif blob.get("app_cred_id"):
        claims["application_credential_id"] = str(blob["app_cred_id"])
    elif blob.get("access_token_id"):
        claims["access_token_id"] = str(blob["access_token_id"])
    person = user.get(tx, user_id)
    if person is None or not person.enabled or row.project_id is None:
        raise Unauthorized("The user of the EC2 credential is disabled or gone.")
    return Proof(user=person, methods=(METHOD,), scope=FoundScope("project", row.project_id), claims=claims)
