"""S3's API over the same accounts, containers and objects. README.md of the object store says what is here."""

from pileus.kernel.api.service import Service
from pileus.kernel.clock import Clock
from pileus.services.object_store.daemons import Daemon
from pileus.services.object_store.s3 import (
    access_control,
    bucket_encryption,
    bucket_lifecycle,
    bucket_logging,
    bucket_policy,
    bucket_versioning,
    buckets,
    configured,
    copying,
    cross_origin,
    customer_key,
    deleting,
    integrity,
    lifecycle_walk,
    listing,
    log_delivery,
    multipart,
    objects,
    place,
    retention,
    site,
    summary,
    tags,
    upload_settler,
)
from pileus.services.object_store.s3.dialect import S3
from pileus.services.object_store.s3.entry import mounted
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.state import ObjectStoreState

OPERATIONS = (
    access_control,
    bucket_encryption,
    bucket_lifecycle,
    bucket_logging,
    bucket_policy,
    bucket_versioning,
    buckets,
    configured,
    copying,
    cross_origin,
    deleting,
    listing,
    multipart,
    objects,
    retention,
    site,
    summary,
    tags,
)
"""The files that fill the table of operations."""
HOOKED = (integrity, customer_key)
"""Those that only take part in others'."""


def daemons(state: ObjectStoreState, clock: Clock) -> list[Daemon]:
    """What S3 does in the background."""
    wanted = state.settings
    return [
        lifecycle_walk.LifecycleWalk(
            state,
            clock,
            every_seconds=wanted.s3_lifecycle_interval_seconds,
            per_second=wanted.s3_lifecycle_per_second,
        ),
        upload_settler.UploadSettler(state),
        log_delivery.LogDelivery(state, clock, every_seconds=wanted.s3_access_log_interval_seconds),
    ]


service = Service(
    type="s3",
    name="s3",
    root=place.PREFIX,
    path=place.PREFIX,
    dialect=S3,
    routes=[mounted(), site.routes],
    claims=place.claims,
)

__all__ = ["daemons", "operations", "service"]
