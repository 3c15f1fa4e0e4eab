"""The table of S3's operations: told apart by method, by what the address names, and by names in the query or a header.

Each file beside this one declares its own:

    @operations.bucket("GET", "tagging", action="s3:GetBucketTagging", answers=documents.media(Tagging, "Tagging"))
    async def get_bucket_tagging(request: Request) -> Reply: ...

`action` is what bucket policies call it (Service Authorization Reference, "Actions for Amazon S3"); `authorize.require`
decides on it before the handler runs. The bucket has been looked for by then, `request.info` is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pileus.kernel.api.answer import NOTHING, Answer
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request

DECIDED_LATER = ""
"""The action of an operation whose handler asks: for each object, or with what the document says. So it sees to it that no
right is needed too many."""
Level = Literal["service", "bucket", "object"]
Handler = Callable[[Request], Awaitable[Reply]]


class S3Operation(NamedTuple):
    level: Level
    method: str
    query: tuple[str, ...]
    """Names that the query has; of several operations that fit, that with the most is meant."""
    header: str | None
    """A header that the request has."""
    action: str
    makes_bucket: bool
    """Whether the bucket need not be there."""
    handler: Handler
    status: int
    answers: Answer
    also: Mapping[int, Answer]
    """What is answered, as operations of the kernel say it; nothing, unless another word is said."""


SUBRESOURCES = frozenset(
    [
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "annotation",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "max-directory-buckets",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploads",
        "versioning",
        "versions",
        "website",
        "append",
        "renameObject",
    ]
)
"""Names in a query that ask for something else than the bucket or the object: without an operation, that is a 501."""
NOT_HEEDED = frozenset(
    [
        "x-amz-bucket-namespace",
        "x-amz-if-match-initiated-time",
        "x-amz-if-match-last-modified-time",
        "x-amz-if-match-size",
        "x-amz-object-lock-event-hold",
        "x-amz-object-lock-event-hold-duration-days",
        "x-amz-object-lock-event-hold-duration-years",
        "x-amz-request-route",
        "x-amz-write-offset-bytes",
    ]
)
"""Headers with which a request means something else, or has a condition, that this store can't do: a 501 rather than to do
what was not meant. Other headers that it does not know may be passed over."""


def not_here(what: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        f"A header, a query or a document you provided implies functionality that is not implemented: {what}",
    )


class Operations:
    def __init__(self) -> None:
        self._by_method: dict[tuple[Level, str], list[S3Operation]] = {}
        self._plain: dict[tuple[Level, str], S3Operation] = {}

    def add(
        self,
        level: Level,
        method: str,
        *query: str,
        action: str,
        header: str | None = None,
        makes_bucket: bool = False,
        status: int = 200,
        answers: Answer = NOTHING,
        also: Mapping[int, Answer] | None = None,
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            operation = S3Operation(
                level, method, query, header, action, makes_bucket, handler, status, answers, also or {}
            )
            if not query and header is None:
                self._plain[level, method] = operation
            known = self._by_method.setdefault((level, method), [])
            known.append(operation)
            known.sort(key=lambda each: (-len(each.query), each.header is None))
            return handler

        return declare

    def service(self, method: str, *query: str, action: str, **more: Any) -> Callable[[Handler], Handler]:
        return self.add("service", method, *query, action=action, **more)

    def bucket(self, method: str, *query: str, action: str, **more: Any) -> Callable[[Handler], Handler]:
        return self.add("bucket", method, *query, action=action, **more)

    def object(self, method: str, *query: str, action: str, **more: Any) -> Callable[[Handler], Handler]:
        return self.add("object", method, *query, action=action, **more)

    def __iter__(self) -> Iterator[S3Operation]:
        for known in self._by_method.values():
            yield from known

    def answers(self, level: Level, method: str) -> dict[int, tuple[Answer, ...]]:
        """By status, of all operations that an address and a method stand for."""
        found: dict[int, tuple[Answer, ...]] = {}
        for each in self._by_method.get((level, method), ()):
            for status, answer in {each.status: each.answers, **each.also}.items():
                several = answer if isinstance(answer, tuple) else (answer,)
                found[status] = (*found.get(status, ()), *several)
        return found

    def choose(self, request: Request) -> S3Operation:
        """405 where there is no such method, 501 where AWS has an operation and this store has not."""
        call = request.call
        if not NOT_HEEDED.isdisjoint(request.headers):
            raise not_here(min(NOT_HEEDED.intersection(request.headers)))
        level: Level = "object" if request.key else "bucket" if request.bucket else "service"
        at = (level, call.method)
        if not call.scope["query_string"] and "x-amz-copy-source" not in request.headers:
            found = self._plain.get(at)
            if found is not None:
                return found
        named = call.query
        for each in self._by_method.get(at, ()):
            if all(name in named for name in each.query) and (
                each.header is None or each.header in request.headers
            ):
                unknown = SUBRESOURCES.intersection(named).difference(each.query)
                if unknown:
                    raise not_here(min(unknown))
                return each
        if unknown := SUBRESOURCES.intersection(named):
            raise not_here(min(unknown))
        raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")


operations = Operations()
