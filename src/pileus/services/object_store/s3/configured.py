"""Small settings of buckets, and those that this store has no use for: answered as AWS answers where nothing is set."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.lib import xml_document
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import acl, body, documents, settings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import Handler, operations
from pileus.services.object_store.s3.request import Request

LOGGING = "logging"
MAX_BYTES = 64 * 1024


class TargetGrants(Document):
    grant: list[acl.GrantElement] = []


class PartitionedPrefix(Document):
    partition_date_source: str | None = None


class SimplePrefix(Document):
    pass


class KeyFormat(Document):
    partitioned_prefix: PartitionedPrefix | None = None
    simple_prefix: SimplePrefix | None = None


class LoggingEnabled(Document):
    target_bucket: str
    target_prefix: str
    target_grants: TargetGrants | None = None
    target_object_key_format: KeyFormat | None = None


class LoggingStatus(Document):
    logging_enabled: LoggingEnabled | None = None


class Payer(Document):
    payer: Literal["BucketOwner", "Requester"]


class Accelerate(Document):
    status: Literal["Enabled", "Suspended"] | None = None


class Nothing(Document):
    """A configuration in which nothing is set."""


@operations.bucket("GET", "logging", action="s3:GetBucketLogging")
async def get_logging(request: Request) -> Reply:
    """Where logs of the bucket are wanted."""
    kept = settings.load(request.metadata, LOGGING)
    found = (
        LoggingStatus()
        if kept is None
        else documents.read(kept.encode(), LoggingStatus, "BucketLoggingStatus")
    )
    return documents.reply(found, "BucketLoggingStatus")


@operations.bucket("PUT", "logging", action="s3:PutBucketLogging")
async def put_logging(request: Request) -> Reply:
    """Keeps where logs of the bucket are wanted, which must be a bucket of the same project."""
    given = documents.read(await body.whole(request, MAX_BYTES), LoggingStatus, "BucketLoggingStatus")
    if (wanted := given.logging_enabled) is None:
        await settings.store(request, {LOGGING: None})
        return Reply(200)
    if await request.state.container(request.account, wanted.target_bucket) is None:
        raise S3Error(
            "InvalidTargetBucketForLogging", "The target bucket for logging does not exist or is not yours"
        )
    kept = xml_document.encode(given, "BucketLoggingStatus", documents.NAMESPACE)
    await settings.store(request, {LOGGING: kept.decode()})
    return Reply(200)


@operations.bucket("GET", "requestPayment", action="s3:GetBucketRequestPayment")
async def get_payer(request: Request) -> Reply:
    """Who pays."""
    return documents.reply(Payer(payer="BucketOwner"), "RequestPaymentConfiguration")


@operations.bucket("PUT", "requestPayment", action="s3:PutBucketRequestPayment")
async def put_payer(request: Request) -> Reply:
    """That the owner pays is all that can be set."""
    given = documents.read(await body.whole(request, MAX_BYTES), Payer, "RequestPaymentConfiguration")
    if given.payer != "BucketOwner":
        raise _not_here("that who asks pays")
    return Reply(200)


@operations.bucket("GET", "accelerate", action="s3:GetAccelerateConfiguration")
async def get_accelerate(request: Request) -> Reply:
    """There is no acceleration."""
    return documents.reply(Accelerate(), "AccelerateConfiguration")


@operations.bucket("PUT", "accelerate", action="s3:PutAccelerateConfiguration")
async def put_accelerate(request: Request) -> Reply:
    """That there is no acceleration is all that can be set."""
    given = documents.read(await body.whole(request, MAX_BYTES), Accelerate, "AccelerateConfiguration")
    if given.status == "Enabled":
        raise _not_here("acceleration")
    return Reply(200)


@operations.bucket("GET", "notification", action="s3:GetBucketNotification")
async def get_notification(request: Request) -> Reply:
    """Nobody is told."""
    return documents.reply(Nothing(), "NotificationConfiguration")


@operations.bucket("PUT", "notification", action="s3:PutBucketNotification")
async def put_notification(request: Request) -> Reply:
    """That nobody is told is all that can be set."""
    try:
        xml_document.decode(await body.whole(request, MAX_BYTES), Nothing, "NotificationConfiguration")
    except xml_document.XmlError:
        raise _not_here("a notification") from None
    return Reply(200)


@operations.bucket("GET", "replication", action="s3:GetReplicationConfiguration")
async def get_replication(request: Request) -> Reply:
    """There is none to another bucket."""
    raise S3Error(
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
        details={"BucketName": request.bucket},
    )


def _not_here(what: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        f"A header or document you provided implies functionality that is not implemented: {what}",
    )


async def _refuse(request: Request) -> Reply:
    """Refused: the store has no such thing."""
    raise _not_here(min(set(request.call.query) & set(_UNUSED), default="replication"))


async def _done(request: Request) -> Reply:
    """There was nothing to delete."""
    return Reply(204)


_UNUSED = {
    "analytics": ("AnalyticsConfiguration", "ListBucketAnalyticsConfigurationResult"),
    "intelligent-tiering": (
        "IntelligentTieringConfiguration",
        "ListBucketIntelligentTieringConfigurationsOutput",
    ),
    "inventory": ("InventoryConfiguration", "ListInventoryConfigurationsResult"),
    "metrics": ("MetricsConfiguration", "ListMetricsConfigurationsResult"),
}
"""Configurations with ids that a bucket may have many of: their action, the list's root."""


class NoConfigurations(Document):
    is_truncated: bool = msgspec.field(name="IsTruncated")


def _get_one(root: str) -> Handler:
    async def get(request: Request) -> Reply:
        """None is there, so the list is empty."""
        if request.arg("id") is not None:
            raise S3Error("NoSuchConfiguration", "The specified configuration does not exist.")
        return documents.reply(NoConfigurations(is_truncated=False), root)

    return get


for _name, (_action, _root) in _UNUSED.items():
    operations.bucket("GET", _name, action=f"s3:Get{_action}")(_get_one(_root))
    operations.bucket("PUT", _name, action=f"s3:Put{_action}")(_refuse)
    operations.bucket("DELETE", _name, action=f"s3:Put{_action}")(_done)
operations.bucket("PUT", "replication", action="s3:PutReplicationConfiguration")(_refuse)
operations.bucket("DELETE", "replication", action="s3:PutReplicationConfiguration")(_done)
