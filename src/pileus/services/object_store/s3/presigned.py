"""Headers that a signed URL has in its query, for whoever fetches it and sends none.

Signers of version 2 (boto3's usual one) sign them as the headers that they stand for, those of version 4 (JavaScript's, Ruby's)
as a part of the query. Checksums there are of the empty body that was at hand when the URL was made: S3 passes over them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.api.call import Call
from pileus.services.object_store.s3.errors import S3Error

_OF_V4 = frozenset(
    f"x-amz-{each}"
    for each in (
        "algorithm",
        "content-sha256",
        "credential",
        "date",
        "expires",
        "security-token",
        "signature",
        "signedheaders",
    )
)
_CHECKSUMS = ("x-amz-checksum-", "x-amz-sdk-")
_MORE_OF_V2 = frozenset({"content-type", "content-md5"})


def with_query(call: Call, headers: Mapping[str, str], version: int) -> Mapping[str, str]:
    """The headers with those of the query; of both a header counts. 400 where one can't be a header."""
    found: dict[str, str] = {}
    for given, values in call.query.items():
        name = given.lower()
        if name in headers or not _is_header(name, version):
            continue
        value = values[-1].encode().decode("latin-1")  # as headers are read
        if not all(each == "\t" or (each >= " " and each != "\x7f") for each in value):
            raise S3Error("InvalidArgument", f"The value of {name[:60]} can't be a header's.")
        found[name] = value
    return {**headers, **found} if found else headers


def _is_header(name: str, version: int) -> bool:
    if not name.startswith("x-amz-"):
        return version == 2 and name in _MORE_OF_V2
    return version == 2 or (name not in _OF_V4 and not name.startswith(_CHECKSUMS))
