"""Whether requests for a bucket are logged, and where to: the setting and its operations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from pileus.kernel.http.reply import Reply
from pileus.lib.xml_document import Document
from pileus.services.object_store.name import ACCOUNT_PREFIX
from pileus.services.object_store.s3 import acl, body, documents, object_lock, permission, settings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.policy.document import Principal, Question
from pileus.services.object_store.s3.request import Request

SETTING = "logging"
ROOT = "BucketLoggingStatus"
MAX_BYTES = 64 * 1024
MAX_PREFIX_BYTES = 700
"""Leaves room for what comes behind it in a key."""
SERVICE = "logging.s3.amazonaws.com"
"""Who delivers logs, as policies call it."""


class TargetGrants(Document):
    grant: list[acl.GrantElement] = []


class PartitionedPrefix(Document):
    partition_date_source: Literal["EventTime", "DeliveryTime"] | None = None


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

    @property
    def partitioned(self) -> PartitionedPrefix | None:
        found = self.target_object_key_format
        return None if found is None else found.partitioned_prefix

    @property
    def by_day(self) -> bool:
        """Whether an object of the log is about one day."""
        return self.partitioned is not None and self.partitioned.partition_date_source == "EventTime"


class LoggingStatus(Document):
    logging_enabled: LoggingEnabled | None = None


@lru_cache(maxsize=256)
def read(text: str) -> LoggingStatus:
    """What is kept with a bucket."""
    return documents.read(text.encode(), LoggingStatus, ROOT)


@operations.bucket(
    "GET", "logging", action="s3:GetBucketLogging", answers=documents.media(LoggingStatus, ROOT)
)
async def get_logging(request: Request) -> Reply:
    """Where requests for the bucket are logged."""
    kept = settings.load(request.metadata, SETTING)
    return documents.reply(LoggingStatus() if kept is None else read(kept), ROOT)


@operations.bucket("PUT", "logging", action="s3:PutBucketLogging")
async def put_logging(request: Request) -> Reply:
    """Requests for the bucket are logged from now on in another one of the same project, or no more."""
    given = documents.read(await body.whole(request, MAX_BYTES), LoggingStatus, ROOT)
    if (wanted := given.logging_enabled) is None:
        await settings.store(request, {SETTING: None})
        return Reply(200)
    _check(wanted)
    target = await request.state.container(request.account, wanted.target_bucket)
    if target is None:
        raise _wrong_target(
            wanted,
            "The target bucket for logging does not exist, is not owned by you, or does not have the "
            "appropriate grants for the log-delivery group",
        )
    _check_target(target.metadata, wanted, request.bucket, request.account)
    await settings.store(request, {SETTING: documents.kept(given, ROOT)})
    return Reply(200)


def _check(wanted: LoggingEnabled) -> None:
    if len(wanted.target_prefix.encode("utf-8", "replace")) > MAX_PREFIX_BYTES or not all(
        each.isprintable() or each == " " for each in wanted.target_prefix
    ):
        raise S3Error("InvalidArgument", f"TargetPrefix has at most {MAX_PREFIX_BYTES} printable bytes")
    how = wanted.target_object_key_format
    if how is not None and (how.partitioned_prefix is None) == (how.simple_prefix is None):
        raise documents.malformed("a TargetObjectKeyFormat has either PartitionedPrefix or SimplePrefix")
    if wanted.target_grants is not None:
        acl.from_elements(wanted.target_grants.grant)


def _check_target(target: Mapping[str, str], wanted: LoggingEnabled, bucket: str, account: str) -> None:
    if has_default_retention(target):
        raise _wrong_target(
            wanted, "The target bucket has a default retention period: logs can't be delivered to it"
        )
    if permission.ownership(target) == permission.ENFORCED:
        # A policy that lets the log in may still come.
        if wanted.target_grants is not None and wanted.target_grants.grant:
            raise S3Error(
                "AccessControlListNotSupported",
                "Target grants not allowed for bucket owner enforced buckets",
                details={"TargetBucket": wanted.target_bucket},
            )
    elif not may_deliver(target, f"{wanted.target_bucket}/{wanted.target_prefix}", bucket, account):
        raise _wrong_target(
            wanted, "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket"
        )


def _wrong_target(wanted: LoggingEnabled, message: str) -> S3Error:
    return S3Error(
        "InvalidTargetBucketForLogging", message, details={"TargetBucket": wanted.target_bucket[:255]}
    )


def has_default_retention(target: Mapping[str, str]) -> bool:
    """Whether what is delivered would be locked, which it may not be."""
    found = object_lock.of_container(target)
    return found is not None and found.rule is not None


def may_deliver(target: Mapping[str, str], resource: str, bucket: str, account: str) -> bool:
    """Whether the target's policy, or its access control list, lets the log of `bucket` come to `resource`: an object's
    bucket and key (S3 User Guide, "Permissions for log delivery"). `target` is the metadata of the target's container."""
    text = settings.load(target, permission.POLICY)
    if text is not None:
        facts = {
            "aws:sourcearn": [f"arn:aws:s3:::{bucket}"],
            "aws:sourceaccount": [account.removeprefix(ACCOUNT_PREFIX)],
            "aws:securetransport": ["true"],
        }
        asked = Question(Principal(service=SERVICE), "s3:PutObject", resource, facts)
        said = permission.policy_of(text, resource.partition("/")[0]).verdict(asked)
        if said is not None:
            return said == "allow"
    return permission.ownership(target) != permission.ENFORCED and any(
        each.grantee == acl.LOG_DELIVERY and each.permission in ("WRITE", "FULL_CONTROL")
        for each in acl.load(settings.load(target, permission.ACL))
    )
