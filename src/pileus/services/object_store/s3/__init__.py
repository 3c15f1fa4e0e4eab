"""S3's API over the same accounts, containers and objects. README.md of the object store says what is here."""

from pileus.kernel.api.service import Service
from pileus.services.object_store.s3 import (
    access_control,
    bucket_encryption,
    bucket_policy,
    bucket_versioning,
    buckets,
    configured,
    copying,
    cross_origin,
    customer_key,
    deleting,
    integrity,
    listing,
    multipart,
    objects,
    place,
    site,
    summary,
    tags,
)
from pileus.services.object_store.s3.dialect import S3
from pileus.services.object_store.s3.entry import routes
from pileus.services.object_store.s3.operations import operations

OPERATIONS = (
    access_control,
    bucket_encryption,
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
    site,
    summary,
    tags,
)
"""The files that fill the table of operations."""
HOOKED = (integrity, customer_key)
"""Those that only take part in others'."""

service = Service(
    type="s3",
    name="s3",
    root=place.PREFIX,
    path=place.PREFIX,
    dialect=S3,
    routes=[routes, site.routes],
    claims=place.claims,
)

__all__ = ["operations", "service"]
