"""What is kept with an object, and the headers that carry it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from pileus.kernel.errors import BadRequest

MAX_NAME, MAX_VALUE, MAX_COUNT, MAX_OVERALL, MAX_HEADER = 128, 256, 90, 4096, 8192
"""As `/info` says: bytes of one name, of one value, number, bytes of all; of any header's value."""
KEPT = (
    "content-disposition",
    "content-encoding",
    "x-delete-at",
    "x-object-manifest",
)
"""Headers beside `X-Object-Meta-*` that are kept and given back."""


SYSTEM = "x-container-sysmeta-"
"""Begins the names of what other layers keep with a container; no client sets or sees it as it stands."""


OBJECT_LOCK = SYSTEM + "s3-object-lock"
"""In a container's metadata: versions in it can be locked, as S3's `object_lock` says."""
SEGMENTS = "+segments"
"""Ends the name of the container that has the parts of a bucket's large objects."""
LINK = "version"
"""In an object's `system`: the id of the version that it stands for; its size is in `large_bytes`."""
IS_NULL = "null-version"
"""In an object's `system`: it was stored while versioning was suspended, and takes the place of an older version `null`."""
RESTORED = "restored-from"
"""In an object's `system`: the older version that it is again. As long as it says so, that one is not older any more."""
CUSTOMER_KEY = "s3-customer-key"
"""In an object's `system`: its bytes are encrypted with a key that the client has; S3's `customer_key` reads them."""
LISTED_ETAG = "s3-etag"
"""In an object's `system`: what lists have as its etag; of an object in parts `MD5-PARTS`. More may follow, see `MORE`."""
MORE = "; "
"""Ends an etag in a list where more follows that an API wants to tell of the entry."""
S3_ETAG = "; s3_etag="
"""Begins the etag that S3 gives an object, where Swift gives another."""


def s3_etag(listed: str) -> str:
    """S3's, from what lists have."""
    own, _, more = listed.partition(MORE)
    return more.removeprefix("s3_etag=") if more.startswith("s3_etag=") else own


UPLOAD = "s3-upload"
"""In an object's `system`: the upload in parts that it came from. Its segments are its own, not other objects."""


class ObjectMetadata(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """As it stands in the device's record: MessagePack."""

    content_type: str
    etag: str
    """MD5 of the bytes that are stored."""
    headers: dict[str, str]
    """By lower-case name: `x-object-meta-*` and what `KEPT` names."""
    large_etag: str | None = None
    """Of a static large object, whose stored bytes are its manifest: MD5 of its segments' etags."""
    large_bytes: int = 0
    system: dict[str, str] = {}
    """What other layers keep with the object, by lower-case name: no client sets or sees it as it stands."""


def size(kept: ObjectMetadata, stored_bytes: int) -> int:
    """Of what a GET gives, in bytes."""
    is_other = kept.large_etag is not None or LINK in kept.system
    return kept.large_bytes if is_other else stored_bytes


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(ObjectMetadata).decode


def object_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a request that are kept with an object. 400 where there are too many, or they are too long."""
    found = user_headers(headers, "x-object-meta-")
    for name in KEPT:
        if value := headers.get(name):
            found[name] = value
    return found


def user_headers(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The headers with the prefix, all of them checked against the limits."""
    found: dict[str, str] = {}
    total = 0
    for name, value in headers.items():
        if len(value) > MAX_HEADER:
            raise BadRequest(f"Header value too long: {name}")
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :]
        if not key:
            raise BadRequest("Metadata name cannot be empty")
        if len(key) > MAX_NAME:
            raise BadRequest(f"Metadata name too long: {name}")
        if len(value) > MAX_VALUE:
            raise BadRequest(f"Metadata value longer than {MAX_VALUE}: {name}")
        total += len(key) + len(value)
        found[name] = value
    if len(found) > MAX_COUNT:
        raise BadRequest(f"Too many metadata items; max {MAX_COUNT}")
    if total > MAX_OVERALL:
        raise BadRequest(f"Total metadata too large; max {MAX_OVERALL}")
    return found


def changed(
    old: Mapping[str, str], headers: Mapping[str, str], kind: str, also: tuple[str, ...]
) -> dict[str, str]:
    """An account's or container's metadata after a request: empty values and `X-Remove-…` take away.

    `kind` is `account` or `container`; `also` names headers beside `X-KIND-Meta-*`, without `x-`.
    """
    prefix = f"x-{kind}-meta-"
    new = dict(old)
    given = user_headers(headers, prefix)
    for name in also:
        if (value := headers.get(f"x-{name}")) is not None:
            given[f"x-{name}"] = value
    for name in headers:
        if name.startswith(f"x-remove-{kind}-meta-") or (
            name.startswith("x-remove-") and name.removeprefix("x-remove-") in also
        ):
            given.setdefault("x-" + name.removeprefix("x-remove-"), "")
    for name, value in given.items():
        if value == "":
            new.pop(name, None)
        else:
            new[name] = value
    mine = {name: value for name, value in new.items() if name.startswith(prefix)}
    if len(mine) > MAX_COUNT or sum(len(n) - len(prefix) + len(v) for n, v in mine.items()) > MAX_OVERALL:
        raise BadRequest(
            f"Too many metadata items, or too much of them; max {MAX_COUNT}, {MAX_OVERALL} bytes"
        )
    return new


_REFERRER = re.compile(r"^\.r(?:ef(?:err?er)?)?:(-?)(\S+)$")


def clean_acl(header: str, value: str) -> str:
    """An access list in its plain form. 400 where it is none."""
    found = []
    for entry in (each.strip() for each in value.split(",")):
        if not entry:
            continue
        if not entry.startswith("."):
            found.append(entry)
            continue
        entry = re.sub(r"\s*:\s*(-?)\s*", r":\1", entry)
        if ":" not in entry:
            found.append(entry)
            continue
        matched = _REFERRER.match(entry)
        if matched is None:
            raise BadRequest(
                f"{header}: {entry!r} is not a designator of readers; .r:HOST and .rlistings are"
            )
        if header.endswith("write"):
            raise BadRequest(f"Referrers not allowed in write ACL: {entry!r}")
        minus, host = matched.groups()
        if host not in ("*",) and host.startswith("*"):
            host = host[1:]
        if host in ("", ".", "-"):
            raise BadRequest(f"{header}: no host/domain value after referrer designation in {entry!r}")
        found.append(f".r:{minus}{host}")
    return ",".join(found)
