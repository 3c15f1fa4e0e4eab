"""One S3 request: what it names, who asks, and what is known of the bucket."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.api import access_rules
from pileus.kernel.api.call import CONTEXT_KEY, Call
from pileus.kernel.context import Context
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import admission
from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.name import ACCOUNT_PREFIX, Name
from pileus.services.object_store.s3 import place, presigned, registry, signature
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.signature import Signed
from pileus.services.object_store.state import ObjectStoreState


class Request:
    """Made for each; handlers read from it."""

    __slots__ = (
        "_name",
        "account",
        "bucket",
        "call",
        "context",
        "copied",
        "headers",
        "info",
        "key",
        "signed",
        "state",
        "version_id",
    )

    def __init__(
        self, call: Call, bucket: str, key: str, context: Context | None, signed: Signed | None
    ) -> None:
        self.call = call
        self.state: ObjectStoreState = call.runtime.state
        self.bucket = bucket
        self.key = key
        self.context = context
        """Who asks; None for nobody in particular."""
        self.signed = signed
        self.headers: Mapping[str, str] = call.headers
        self.account = own_account(context)
        """Whose bucket it is; of a request that names none, the caller's."""
        self.info: ContainerInfo | None = None
        """The bucket, once it was looked for."""
        self.copied: Request | None = None
        """What the request copies, as if it were asked for by itself."""
        self._name: Name | None = None
        self.version_id = call.arg("versionId") if call.scope["query_string"] else None
        """The version of the object that is asked for; None: the newest."""

    @classmethod
    def inside(cls, state: ObjectStoreState, name: Name, info: ContainerInfo | None) -> Request:
        """The store's own doing: there is no call and no caller."""
        request = cls.__new__(cls)
        request.state, request.info = state, info
        request.account, request.bucket, request.key = name
        request.context, request.signed, request.headers = None, None, {}
        request.version_id = request._name = None
        return request

    @property
    def name(self) -> Name:
        """The object, or where there is no key the container."""
        found = self._name  # of the same strings, unless somebody has set another since
        if found is None or found.object is not self.key or found.account is not self.account:
            found = self._name = Name(self.account, self.bucket, self.key)
        return found

    @property
    def metadata(self) -> Mapping[str, str]:
        """The bucket's."""
        return {} if self.info is None else self.info.metadata

    def arg(self, name: str) -> str | None:
        return self.call.arg(name)

    async def find_bucket(self) -> None:
        """The caller's own of that name, else anybody's. 404 where there is none."""
        if self.account:
            self.info = await self.state.container(self.account, self.bucket)
        if self.info is None:
            owner = await registry.owner(self.state, self.bucket)
            if owner is not None:
                self.info = await self.state.container(owner, self.bucket)
                if self.info is not None:
                    self.account = owner
        if self.info is None:
            raise no_such_bucket(self.bucket)


async def opened(call: Call) -> Request:
    """With the signature verified; 400 or 403 where it is none."""
    state: ObjectStoreState = call.runtime.state
    where = place.locate(call.scope, call.header("host") or "", state.settings.s3_domain)
    signed: Signed | None = None
    context: Context | None = call.scope.get(CONTEXT_KEY)
    if context is None:
        signed = await signature.verify(call, where, call.runtime.needs, state.settings.s3_region)
        if signed is not None:
            context = signed.context
    if context is not None:
        call.context = context
        access_rules.check(call)
    if where.key:
        place.check_key(where.key)
    admission.check_characters(where.bucket + where.key, state)
    request = Request(call, where.bucket, where.key, context, signed)
    if len(call.headers) != len(call.scope["headers"]):
        request.headers = signature.joined_headers(call)
    if signed is not None and signed.way == "REST-QUERY-STRING":
        request.headers = presigned.with_query(call, request.headers, signed.version)
    return request


def own_account(context: Context | None) -> str:
    """The account of a caller's project; empty where it has none."""
    return "" if context is None or context.project_id is None else ACCOUNT_PREFIX + context.project_id


def no_such_bucket(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", "The specified bucket does not exist", details={"BucketName": bucket})


def no_such_key(key: str) -> S3Error:
    return S3Error("NoSuchKey", "The specified key does not exist.", details={"Key": key})


def owner_of(account: str) -> list[tuple[str, str]]:
    """The owner of everything in an account is its project."""
    owner = account.removeprefix(ACCOUNT_PREFIX)
    return [("ID", owner), ("DisplayName", owner)]


def http_date(moment: Timestamp) -> str:
    return moment.http


def iso_date(moment: Timestamp) -> str:
    """`2026-01-31T12:00:00.000Z`, whole seconds as the header has them."""
    return Timestamp(moment.whole_seconds * 100_000).iso[:19] + ".000Z"
