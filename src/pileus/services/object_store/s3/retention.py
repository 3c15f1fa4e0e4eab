"""Object lock: operations, and what keeps a locked version where it is, whoever asks through whichever API."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.http.reply import Reply
from pileus.services.object_store import locks, metadata, versioning
from pileus.services.object_store.content import Content
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import authorize, body, documents, hooks, kept, object_lock, settings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.object_lock import HOLD, MODE, UNTIL, Lock
from pileus.services.object_store.s3.operations import DECIDED_LATER, operations
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.versioning import Found

SETTING = metadata.OBJECT_LOCK.removeprefix(settings.PREFIX)
ROOT = object_lock.ROOT
BYPASS = "x-amz-bypass-governance-retention"
MAX_BYTES = 64 * 1024


def _require_enabled(request: Request) -> object_lock.Configuration:
    found = object_lock.of_container(request.metadata)
    if found is None:
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    return found


def of_new_bucket(request: Request) -> dict[str, str]:
    """A bucket made with object lock keeps versions."""
    wanted = request.headers.get("x-amz-bucket-object-lock-enabled", "").lower()
    if wanted not in ("", "true", "false"):
        raise S3Error("InvalidArgument", "x-amz-bucket-object-lock-enabled must be true or false")
    if wanted != "true":
        return {}
    enabled = object_lock.Configuration(object_lock_enabled="Enabled")
    return {settings.PREFIX + SETTING: documents.kept(enabled, ROOT), versioning.STATUS: "Enabled"}


@operations.bucket(
    "GET",
    "object-lock",
    action="s3:GetBucketObjectLockConfiguration",
    answers=documents.media(object_lock.Configuration, ROOT),
)
async def get_object_lock(request: Request) -> Reply:
    """Whether versions in the bucket can be locked, and how new ones are."""
    found = object_lock.of_container(request.metadata)
    if found is None:
        raise S3Error(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
            details={"BucketName": request.bucket},
        )
    return documents.reply(found, ROOT)


@operations.bucket("PUT", "object-lock", action="s3:PutBucketObjectLockConfiguration")
async def put_object_lock(request: Request) -> Reply:
    """Lets versions in the bucket be locked, for good, and says how new ones are."""
    given = object_lock.read(await body.whole(request, MAX_BYTES))
    if versioning.status(request.metadata) != "Enabled":
        raise S3Error(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )
    await settings.store(request, {SETTING: documents.kept(given, ROOT)})
    return Reply(200)


@operations.object(
    "GET",
    "retention",
    action="s3:GetObjectRetention",
    answers=documents.media(object_lock.Retention, "Retention"),
)
async def get_retention(request: Request) -> Reply:
    """Until when a version must stay."""
    _require_enabled(request)
    lock = object_lock.load(kept.system(await kept.find(request)))
    if lock.until is None:
        raise _none_set()
    shown = object_lock.Retention(mode=lock.mode, retain_until_date=lock.until)
    return documents.reply(shown, "Retention")


@operations.object("PUT", "retention", action=DECIDED_LATER)
async def put_retention(request: Request) -> Reply:
    """Sets until when a version must stay; what is under governance only with the header that says so may go earlier."""
    _require_enabled(request)
    now = request.call.runtime.clock.now()
    new = object_lock.read_retention(await body.whole(request, MAX_BYTES), now)
    await authorize.require(request, "s3:PutObjectRetention", facts=object_lock.facts(new, now))
    found = await kept.find(request)
    _require_lasting(found)
    bypass = await may_bypass(request, request.name)

    def changed(system: Mapping[str, str]) -> kept.Values:
        lock = object_lock.changed(object_lock.load(system), new, now, bypass=bypass).stored()
        return {name: lock.get(name) for name in (MODE, UNTIL)}

    await kept.change(request, found, changed)
    return Reply(200)


@operations.object(
    "GET",
    "legal-hold",
    action="s3:GetObjectLegalHold",
    answers=documents.media(object_lock.LegalHold, "LegalHold"),
)
async def get_legal_hold(request: Request) -> Reply:
    """Whether a version is held."""
    _require_enabled(request)
    system = kept.system(await kept.find(request))
    if HOLD not in system:
        raise _none_set()
    return documents.reply(
        object_lock.LegalHold(status="ON" if object_lock.load(system).held else "OFF"), "LegalHold"
    )


@operations.object("PUT", "legal-hold", action=DECIDED_LATER)
async def put_legal_hold(request: Request) -> Reply:
    """Holds a version, or lets it go."""
    _require_enabled(request)
    given = documents.read(await body.whole(request, MAX_BYTES), object_lock.LegalHold, "LegalHold")
    facts = {"s3:object-lock-legal-hold": [given.status]}
    await authorize.require(request, "s3:PutObjectLegalHold", facts=facts)
    found = await kept.find(request)
    _require_lasting(found)
    await kept.change(request, found, {HOLD: given.status})
    return Reply(200)


def _require_lasting(found: Found) -> None:
    """What expires can't be kept."""
    if "x-delete-at" in metadata.decode(found.version.metadata).headers:
        raise S3Error("InvalidRequest", "The object expires by itself (X-Delete-At), so it can't be locked.")


def _none_set() -> S3Error:
    return S3Error(
        "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration"
    )


async def may_bypass(request: Request, name: Name) -> bool:
    if request.headers.get(BYPASS, "").lower() != "true":
        return False
    return await authorize.allows(request, "s3:BypassGovernanceRetention", name)


async def take(upload: hooks.Upload, what: hooks.What) -> None:
    """New versions are locked as the request says, else as the bucket does."""
    if what == "part":
        return
    request = upload.request
    for name in (MODE, UNTIL, HOLD):
        upload.system.pop(name, None)
    found = object_lock.of_container(request.metadata)
    if found is None:
        if object_lock.wanted(request.headers):
            raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
        return
    now = request.call.runtime.clock.now()
    said = object_lock.of_headers(request.headers, now)
    if said.mode is not None:
        await authorize.require(request, "s3:PutObjectRetention")
    if said.held:
        await authorize.require(request, "s3:PutObjectLegalHold")
    upload.system.update(object_lock.with_default(said, found, now).stored())


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    if content.kept.system:
        headers.update(object_lock.load(content.kept.system).headers())


async def guard(request: Request, name: Name, found: Found) -> None:
    await locks.require_parts_free(request.state, found.at)
    lock = object_lock.of_version(found.version)
    now = request.call.runtime.clock.now()
    if lock != Lock() and lock.forbids_removal(now, bypass=await may_bypass(request, name)):
        raise object_lock.locked()


def keep_versions(request: Request, wanted: str) -> None:
    """Versions of a bucket with object lock are kept for good."""
    if wanted != "Enabled" and object_lock.of_container(request.metadata) is not None:
        raise S3Error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        )


hooks.TAKING.append(take)
hooks.DESCRIBING.append(describe_given)
hooks.GUARDS.append(guard)
hooks.MAKING.append(of_new_bucket)
hooks.STATUS_CHECKS.append(keep_versions)
