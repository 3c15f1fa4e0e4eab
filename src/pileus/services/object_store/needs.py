"""What the object store needs of the identity service: the secrets behind access keys, and who their owners are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import sha256
from hmac import HMAC
from typing import Any, Protocol

import msgspec

from pileus.kernel.api.auth import Authenticate, Revision
from pileus.kernel.clock import Clock
from pileus.kernel.context import Context, service_user
from pileus.kernel.errors import Unauthorized
from pileus.kernel.http.caller import Peer
from pileus.lib import aws_signature, s3_signature

_SELF = service_user("object-store")
REMEMBERED = 20_000


class AccessKey:
    """An access key as long as it is known: its secret, its owner, and what is derived of them."""

    __slots__ = ("_signing", "context", "secret")

    def __init__(self, secret: str, context: Context) -> None:
        self.secret = secret
        self.context = context
        self._signing: dict[tuple[str, str], HMAC] = {}

    def signing_key(self, date: str, region: str) -> HMAC:
        """Of version 4, for S3; a day and a region take as long as the rest of the request, so they are remembered."""
        found = self._signing.get((date, region))
        if found is None:
            if len(self._signing) > 8:
                self._signing.clear()
            key = aws_signature.signing_key(self.secret, date, region, "s3")
            found = self._signing[date, region] = s3_signature.signer(key)
        return found


class AccessKeys(Protocol):
    async def find(self, access: str) -> AccessKey | None:
        """None where there is no such key, or its owner may not do anything any more."""


class IdentityKeys:
    """EC2 credentials (Identity API v3, "OS-EC2"), remembered until identity says that anything changed."""

    def __init__(self, identity: Peer, authenticate: Authenticate, revision: Revision, clock: Clock) -> None:
        self._identity = identity
        self._authenticate = authenticate
        self._revision = revision
        self._clock = clock
        self._seen = revision.number
        self._keys: OrderedDict[str, AccessKey] = OrderedDict()
        self._asking: dict[tuple[int, str], asyncio.Task[AccessKey | None]] = {}
        """Questions under way: what many ask at once is asked once."""

    async def find(self, access: str) -> AccessKey | None:
        number = self._revision.number
        if self._seen != number:
            self._keys.clear()
            self._seen = number
        found = self._keys.get(access)
        if found is not None:
            expires = found.context.expires_at
            if expires is None or expires > self._clock.now():
                return found
        at = (number, access)
        asking = self._asking.get(at)
        if asking is None:
            asking = self._asking[at] = asyncio.ensure_future(self._ask(access))
            asking.add_done_callback(lambda done: self._asking.pop(at, None))
        found = await asyncio.shield(asking)
        if found is not None and number == self._revision.number:
            self._keys[access] = found
            if len(self._keys) > REMEMBERED:
                self._keys.popitem(last=False)
        return found

    async def _ask(self, access: str) -> AccessKey | None:
        credential_id = sha256(access.encode("utf-8", "replace")).hexdigest()
        reply = await self._identity.request("GET", f"/credentials/{credential_id}", context=_SELF)
        if reply.status == 404:
            return None
        credential = reply.expect(200).json()["credential"]
        if credential["type"] != "ec2":
            return None
        secret = msgspec.json.decode(credential["blob"], type=dict[str, Any]).get("secret")
        if not isinstance(secret, str) or not secret:
            return None
        token = await self._token(access, secret)
        if token is None:
            return None
        try:
            return AccessKey(secret, await self._authenticate(token))
        except Unauthorized:
            return None

    async def _token(self, access: str, secret: str) -> str | None:
        """What identity says that the key's owner may do now: a token for a request that we sign in its place."""
        request = aws_signature.SignedRequest(
            verb="GET",
            host="object-store",
            path="/",
            params={"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "AWSAccessKeyId": access},
        )
        parts = {
            "access": access,
            "signature": aws_signature.sign(request, secret),
            "verb": request.verb,
            "host": request.host,
            "path": request.path,
            "params": dict(request.params),
        }
        reply = await self._identity.request("POST", "/ec2tokens", context=_SELF, body={"credentials": parts})
        if reply.status in (401, 403, 404):
            return None
        return reply.expect(200).headers["x-subject-token"]
