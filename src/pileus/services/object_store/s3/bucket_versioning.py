"""Versions of objects: whether a bucket keeps them, and lists of them."""

from __future__ import annotations

from pileus.kernel.http.reply import Reply
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import versioning
from pileus.services.object_store.listings import folder
from pileus.services.object_store.metadata import s3_etag
from pileus.services.object_store.s3 import body, hooks, xml
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.listing import at_most, encoding, listed_date
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, owner_of
from pileus.services.object_store.version_entries import NULL
from pileus.services.object_store.version_list import Listed, Versions


@operations.bucket(
    "GET", "versioning", action="s3:GetBucketVersioning", answers=xml.media("VersioningConfiguration")
)
async def get_bucket_versioning(request: Request) -> Reply:
    """Whether the bucket keeps versions; nothing where it never did."""
    status = versioning.status(request.metadata)
    return xml.reply("VersioningConfiguration", [("Status", status or None)])


@operations.bucket("PUT", "versioning", action="s3:PutBucketVersioning")
async def put_bucket_versioning(request: Request) -> Reply:
    """Versions are kept from now on, or new ones no more."""
    document = xml.read(await body.whole(request, xml.MAX_BYTES), "VersioningConfiguration")
    status = (document.value("Status") or "").strip()
    if (document.value("MfaDelete") or "").strip() == "Enabled":
        raise S3Error("NotImplemented", "A deletion that needs a second factor is not implemented.")
    if status not in ("Enabled", "Suspended"):
        raise S3Error(
            "IllegalVersioningConfigurationException",
            "The versioning configuration specified in the request is invalid: Status is Enabled or Suspended.",
            status=400,
        )
    assert request.info is not None
    wanted: versioning.Status = "Enabled" if status == "Enabled" else "Suspended"
    for check in hooks.STATUS_CHECKS:
        check(request, wanted)
    await versioning.set_status(request.state, request.name, request.info, wanted)
    return Reply(200)


@operations.bucket("GET", "versions", action="s3:ListBucketVersions", answers=xml.media("ListVersionsResult"))
async def list_object_versions(request: Request) -> Reply:
    """A bucket's versions and delete markers, by key, newest first."""
    kind, encoded = encoding(request)
    limit, prefix, delimiter = at_most(request), request.arg("prefix") or "", request.arg("delimiter") or ""
    key_marker, id_marker = request.arg("key-marker") or "", request.arg("version-id-marker")
    if id_marker is not None and not key_marker:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    after = None if not id_marker or id_marker == NULL else _moment(id_marker)
    found: list[tuple[str, xml.Value]] = []
    folders: list[tuple[str, xml.Value]] = []
    last: tuple[str, str | None] = ("", None)
    truncated = False
    versions = Versions(request.state, request.name, prefix)
    if key_marker:
        versions.start(key_marker)
    if key_marker and folder(key_marker, prefix, delimiter) == key_marker:
        versions.seek(key_marker)  # the page before ended with it
    while limit and not truncated and (listed := await versions.next_key()):
        key = listed[0].key
        if key_marker and key <= key_marker:
            if key < key_marker or not id_marker:
                continue
            listed = _behind(listed, id_marker, after)
        if listed and (name := folder(key, prefix, delimiter)):
            if len(found) + len(folders) >= limit:
                truncated = True
                break
            folders.append(("CommonPrefixes", [("Prefix", encoded(name))]))
            last = (name, None)
            versions.seek(name)
            continue
        for each in listed:
            if len(found) + len(folders) >= limit:
                truncated = True
                break
            found.append(_shown(request, each, encoded(key)))
            last = (key, each.id)
    return xml.reply(
        "ListVersionsResult",
        [
            ("Name", request.bucket),
            ("Prefix", encoded(prefix)),
            ("KeyMarker", encoded(key_marker)),
            ("VersionIdMarker", id_marker or ""),
            ("NextKeyMarker", encoded(last[0]) if truncated else None),
            ("NextVersionIdMarker", last[1] if truncated else None),
            ("MaxKeys", limit),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            *found,
            *folders,
        ],
    )


def _moment(version_id: str) -> Timestamp:
    try:
        return Timestamp.parse(version_id)
    except ValueError:
        raise S3Error("InvalidArgument", "Invalid version id specified") from None


def _behind(listed: list[Listed], marker: str, moment: Timestamp | None) -> list[Listed]:
    """What follows a version. Whoever empties a bucket page by page has removed it by then: what is older follows, and of one
    `null`, which says nothing of its age, all."""
    for at, each in enumerate(listed):
        if each.id == marker:
            return listed[at + 1 :]
    newer = [
        at
        for at, each in enumerate(listed)
        if moment is not None and each.id != NULL and Timestamp.parse(each.id) > moment
    ]
    return listed[max(newer, default=-1) + 1 :]


def _shown(request: Request, listed: Listed, key: str) -> tuple[str, xml.Value]:
    common: list[tuple[str, xml.Value]] = [
        ("Key", key),
        ("VersionId", listed.id),
        ("IsLatest", listed.is_latest),
        ("LastModified", listed_date(listed.changed)),
    ]
    owner: tuple[str, xml.Value] = ("Owner", owner_of(request.account))
    if listed.is_marker:
        return "DeleteMarker", [*common, owner]
    return "Version", [
        *common,
        ("ETag", f'"{s3_etag(listed.etag)}"'),
        ("Size", listed.size_bytes),
        owner,
        ("StorageClass", "STANDARD"),
    ]
