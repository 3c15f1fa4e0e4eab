"""What happens to a call: version, token, body, row, policy, quota, handler, answer. In this order, for all."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api import access_rules, bodies, idempotency, query
from pileus.kernel.api.call import CONTEXT_KEY, Call
from pileus.kernel.api.fields import named_project
from pileus.kernel.api.operation import ANYONE, AUTHENTICATED, Kind, Operation
from pileus.kernel.api.resource import Resource, body_target
from pileus.kernel.db import Duplicate, InUse, Tx
from pileus.kernel.errors import Conflict, Forbidden, NotFound, Unauthorized, UnsupportedMediaType
from pileus.kernel.http.front_proxy import thumbprint
from pileus.kernel.http.reply import JSON, Reply

_NO_BODY: Any = object()


async def dispatch(call: Call) -> Reply:
    """Runs the call's operation. Raises ApiError where the answer is an error."""
    operation = call.operation
    if operation.policy is not ANYONE:
        await authenticate(call)
        check_path_project(call)
    if operation.query is not None:
        query.check(call, operation.query)
    body = await _body(call, operation) if operation.takes_body else _NO_BODY
    db = call.runtime.db
    if operation.prepare is not None:
        await operation.prepare(call)
    try:
        if operation.is_async:
            return await _dispatch_async(call, operation, body)
        if operation.writes:
            return await db.write(_in_write, call, operation, body)
        if operation.kind.has_row:
            return await db.read(_in_transaction, call, operation, body)
        return await db.scan(_in_transaction, call, operation, body)
    except Duplicate as error:
        raise Conflict(f"There is one with the same identity already ({error}).") from error
    except InUse as error:
        raise Conflict(f"It is in use, or refers to something that is gone ({error}).") from error


async def authenticate(call: Call) -> None:
    """Sets the call's context from the caller inside this process, or from its token."""
    inside = call.scope.get(CONTEXT_KEY)
    if inside is not None:
        call.context = inside
        return
    token = call.header("x-auth-token") or _bearer(call)
    if not token:
        raise Unauthorized("The request you have made requires authentication: it has no X-Auth-Token.")
    call.context = await call.runtime.authenticate(token)
    _check_certificate(call)
    access_rules.check(call)


def _check_certificate(call: Call) -> None:
    """401 for a token that is bound to another client certificate than the request came with (RFC 8705, section 3)."""
    wanted = call.context.certificate_thumbprint
    if wanted is None:
        return
    shown = call.runtime.front_proxy.certificate(call.scope)
    if shown is None or not hmac.compare_digest(thumbprint(shown), wanted):
        raise Unauthorized("The token is bound to a client certificate that the request did not come with.")


def _bearer(call: Call) -> str | None:
    """The token of a client of OAuth 2.0 (RFC 6750)."""
    kind, _, token = (call.header("authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def check_path_project(call: Call) -> None:
    """A project in the path must be the token's, unless the caller is an administrator."""
    named = call.params.get("path_project_id")
    if named is not None and named != call.context.project_id and not call.context.is_admin:
        raise Forbidden(f"The path names project {named}, which your token is not for.")


async def _body(call: Call, operation: Operation) -> Any:
    if operation.kind is Kind.ACTION:
        raw = call.scope["pileus.action"]
    else:
        raw = await call.body()
    dialect = call.runtime.service.dialect
    if dialect.json_only:
        _check_media_type(call.header("content-type"))
    if operation.kind is Kind.ACTION:
        return (
            None if operation.body is None else bodies.decode_body(operation.body, dialect, call.version, raw)
        )
    return bodies.decode(operation, dialect, call.version, raw)


def _check_media_type(kind: str | None) -> None:
    if kind is not None and kind.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType(f"The media type {kind} is not supported, use {JSON}.")


def _in_write(tx: Tx, call: Call, operation: Operation, body: Any) -> Reply:
    key = call.header(idempotency.HEADER)
    if (
        key is None or operation.secret or operation.policy is ANYONE
    ):  # of nobody in particular, nobody's is kept
        return _in_transaction(tx, call, operation, body)
    reply = idempotency.recall(call, tx, key)
    if reply is None:
        reply = _in_transaction(tx, call, operation, body)
        idempotency.remember(call, tx, key, reply)
    return reply


def _in_transaction(tx: Tx, call: Call, operation: Operation, body: Any) -> Reply:
    if operation.kind is Kind.CREATE and isinstance(body, list):
        results = []
        for one in body:
            row = _admit(tx, call, operation, one)
            results.append(_handle(tx, call, operation, row, one))
        _gather(tx, call, operation, results)
        return finish(call, operation, results)
    row = _admit(tx, call, operation, body)
    result = _handle(tx, call, operation, row, body)
    _gather(tx, call, operation, result)
    return finish(call, operation, result)


def _gather(tx: Tx, call: Call, operation: Operation, result: Any) -> None:
    """Reads what the result's rows need to be shown, beyond themselves."""
    if operation.resource is None:
        return
    if isinstance(result, Row):
        operation.resource.gather(call, tx, [result])
    elif isinstance(result, list) and result and isinstance(result[0], Row):
        operation.resource.gather(call, tx, result)


def _handle(tx: Tx, call: Call, operation: Operation, row: Row[Any] | None, body: Any) -> Any:
    arguments = [call, tx]
    if operation.kind.has_row:
        arguments.append(row)
    if body is not _NO_BODY and (operation.kind is not Kind.DELETE or operation.body is not None):
        arguments.append(body)
    return operation.handler(*arguments)


async def _dispatch_async(call: Call, operation: Operation, body: Any) -> Reply:
    row = None
    resource = operation.resource
    if resource is not None and _needs_database(operation, resource):
        row = await call.runtime.db.read(_admit, call, operation, body)
    elif operation.policy not in (ANYONE, AUTHENTICATED):
        call.enforce(operation.policy, _loose_target(call, operation, body))
    arguments: list[Any] = [call]
    if operation.kind.has_row:
        arguments.append(row)
    if body is not _NO_BODY:
        arguments.append(body)
    result = await operation.handler(*arguments)
    if isinstance(result, Row):
        await call.runtime.db.read(_gather, call, operation, result)
    return finish(call, operation, result)


def _needs_database(operation: Operation, resource: type[Resource]) -> bool:
    """Whether admitting a call takes more than a look at the caller and the body."""
    plain = resource.target_of_new.__func__ is Resource.target_of_new.__func__  # type: ignore[attr-defined]
    return bool(operation.kind.has_row or resource.parent is not None or operation.quota or not plain)


def _admit(tx: Tx, call: Call, operation: Operation, body: Any) -> Row[Any] | None:
    """Finds the row, asks policy, holds the quota."""
    resource = operation.resource
    row = None
    if resource is not None:
        _load_parents(call, tx, operation, resource)
        if operation.kind.has_row:
            row = _load(call, tx, operation, resource)
    if operation.policy not in (ANYONE, AUTHENTICATED):
        call.enforce(operation.policy, _target(tx, call, operation, row, body))
    if operation.quota:
        wanted = {
            name: amount if isinstance(amount, int) else amount(body)
            for name, amount in operation.quota.items()
        }
        quotas = call.runtime.service.quotas
        assert quotas is not None, f"{operation.label} has a quota, its service has none"
        quotas.require(tx, owner_project(call, body), wanted, call.runtime.service.dialect.over_quota_status)
    return row


def _load_parents(call: Call, tx: Tx, operation: Operation, resource: type[Resource]) -> None:
    try:
        load_parents(call, tx, resource)
    except NotFound:
        _forbid_before_missing(call, operation, {})
        raise


def _forbid_before_missing(call: Call, operation: Operation, target: Mapping[str, Any]) -> None:
    policy_first = call.runtime.service.dialect.policy_before_existence and not operation.existence_first
    if policy_first and not operation.policy.startswith("@"):
        call.enforce(operation.policy, target)


def _load(call: Call, tx: Tx, operation: Operation, resource: type[Resource]) -> Row[Any]:
    try:
        return resource.load(call, tx, call.params[resource.id_param])
    except NotFound:
        around = resource.parent.target(call.parent) if resource.parent and call.parent is not None else {}
        _forbid_before_missing(call, operation, around)
        raise


def load_parents(call: Call, tx: Tx, resource: type[Resource]) -> None:
    """Sets `call.parent` to the row that the path goes through; 404 where it does not exist for the caller."""
    if resource.parent is not None:
        load_parents(call, tx, resource.parent)
        call.parent = resource.parent.load(call, tx, call.params[f"{resource.parent.member}_id"])


def owner_project(call: Call, body: Any) -> str:
    """The project that what is being created will belong to."""
    return named_project(body) or call.project_id


def _target(tx: Tx, call: Call, operation: Operation, row: Row[Any] | None, body: Any) -> Mapping[str, Any]:
    resource = operation.resource
    if row is not None and resource is not None:
        return resource.target(row)
    if resource is None or operation.target is not None:
        return _loose_target(call, operation, body)
    if operation.kind is Kind.CREATE and resource.parent is None:
        return resource.target_of_new(call, tx, body)
    if call.parent is not None and resource.parent is not None:
        return resource.parent.target(call.parent)
    return body_target(call, body)


def _loose_target(call: Call, operation: Operation, body: Any) -> Mapping[str, Any]:
    """What policy sees where no row is involved."""
    return operation.target(call, body) if operation.target is not None else body_target(call, body)


def finish(call: Call, operation: Operation, result: Any) -> Reply:
    """What a handler returned, as an answer: rows are shown as declared, mappings are taken as they are."""
    if isinstance(result, Reply):
        return result
    if result is None:
        return Reply(operation.status)
    resource = operation.resource
    if resource is not None:
        wrapped = call.runtime.service.dialect.wrapped
        if isinstance(result, Row):
            shown = resource.view(call, operation.view)(result)
            return Reply.json({resource.member: shown} if wrapped else shown, operation.status)
        if isinstance(result, Sequence) and result and isinstance(result[0], Row):
            show = resource.view(call, operation.view)
            return Reply.json({resource.collection: [show(row) for row in result]}, operation.status)
    return Reply.json(result, operation.status)


def choose(operations: Sequence[Operation], call_path: str, version: Any, action: str | None) -> Operation:
    """The one of several operations behind a route that this version and action mean."""
    for operation in operations:
        if operation.action == action and operation.alive(version):
            return operation
    if action is not None:
        raise NotFound(f"There is no such action: {action}")
    raise NotFound(f"{call_path} is not in version {version} of this API.")
