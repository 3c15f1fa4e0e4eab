"""Small settings of buckets, and those that this store has no use for: answered as AWS answers where nothing is set."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.lib import xml_document
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import body, documents
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import Handler, not_here, operations
from pileus.services.object_store.s3.request import Request

MAX_BYTES = 64 * 1024


class Payer(Document):
    payer: Literal["BucketOwner", "Requester"]


class Accelerate(Document):
    status: Literal["Enabled", "Suspended"] | None = None


class Nothing(Document):
    """A configuration in which nothing is set."""


@operations.bucket(
    "GET",
    "requestPayment",
    action="s3:GetBucketRequestPayment",
    answers=documents.media(Payer, "RequestPaymentConfiguration"),
)
async def get_payer(request: Request) -> Reply:
    """Who pays."""
    return documents.reply(Payer(payer="BucketOwner"), "RequestPaymentConfiguration")


@operations.bucket("PUT", "requestPayment", action="s3:PutBucketRequestPayment")
async def put_payer(request: Request) -> Reply:
    """That the owner pays is all that can be set."""
    given = documents.read(await body.whole(request, MAX_BYTES), Payer, "RequestPaymentConfiguration")
    if given.payer != "BucketOwner":
        raise not_here("that who asks pays")
    return Reply(200)


@operations.bucket(
    "GET",
    "accelerate",
    action="s3:GetAccelerateConfiguration",
    answers=documents.media(Accelerate, "AccelerateConfiguration"),
)
async def get_accelerate(request: Request) -> Reply:
    """There is no acceleration."""
    return documents.reply(Accelerate(), "AccelerateConfiguration")


@operations.bucket("PUT", "accelerate", action="s3:PutAccelerateConfiguration")
async def put_accelerate(request: Request) -> Reply:
    """That there is no acceleration is all that can be set."""
    given = documents.read(await body.whole(request, MAX_BYTES), Accelerate, "AccelerateConfiguration")
    if given.status == "Enabled":
        raise not_here("acceleration")
    return Reply(200)


@operations.bucket(
    "GET",
    "notification",
    action="s3:GetBucketNotification",
    answers=documents.media(Nothing, "NotificationConfiguration"),
)
async def get_notification(request: Request) -> Reply:
    """Nobody is told."""
    return documents.reply(Nothing(), "NotificationConfiguration")


@operations.bucket("PUT", "notification", action="s3:PutBucketNotification")
async def put_notification(request: Request) -> Reply:
    """That nobody is told is all that can be set."""
    try:
        xml_document.decode(await body.whole(request, MAX_BYTES), Nothing, "NotificationConfiguration")
    except xml_document.XmlError:
        raise not_here("a notification") from None
    return Reply(200)


@operations.bucket("GET", "replication", action="s3:GetReplicationConfiguration", answers=())
async def get_replication(request: Request) -> Reply:
    """There is none to another bucket."""
    raise S3Error(
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
        details={"BucketName": request.bucket},
    )


async def _refuse(request: Request) -> Reply:
    """Refused: the store has no such thing."""
    raise not_here(min(set(request.call.query) & set(_UNUSED), default="replication"))


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
    operations.bucket(
        "GET", _name, action=f"s3:Get{_action}", answers=documents.media(NoConfigurations, _root)
    )(_get_one(_root))
    operations.bucket("PUT", _name, action=f"s3:Put{_action}", answers=())(_refuse)
    operations.bucket("DELETE", _name, action=f"s3:Put{_action}", status=204)(_done)
operations.bucket("PUT", "replication", action="s3:PutReplicationConfiguration", answers=())(_refuse)
operations.bucket("DELETE", "replication", action="s3:PutReplicationConfiguration", status=204)(_done)
