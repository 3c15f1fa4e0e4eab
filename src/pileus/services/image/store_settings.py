"""What the settings say of a store. Names are those of Glance's options, without what they begin with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

LEAST_PART_MIB = 5
"""Of a multipart upload (Amazon S3 user guide, "Multipart upload limits")."""
Mebibytes = Annotated[int, msgspec.Meta(ge=0, le=5120)]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One store; each type has options of its own."""

    type: Literal["file", "http", "swift", "s3"] = "file"
    description: str = ""
    weight: int = 0

    path: str = ""
    """file: its folder; by default in the state folder."""

    auth_address: str = ""
    """swift: of the identity service, or of TempAuth where `auth_version` is 1."""
    auth_version: Literal["1", "3"] = "3"
    user: str = ""
    """swift: `PROJECT:USER`, in version 1 `ACCOUNT:USER`."""
    key: str = ""
    """swift: the user's password."""
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    service_type: str = "object-store"
    endpoint_type: Literal["publicURL", "internalURL", "adminURL"] = "publicURL"
    region: str = ""
    """swift: of the endpoint, any by default. s3: `us-east-1` by default."""
    endpoint: str = ""
    """swift: the account's address, where it is not to be looked up in the catalog."""
    container: str = "glance"
    create_container_on_put: bool = True

    host: str = ""
    """s3: address of the service, as `https://s3.example.com`."""
    access_key: str = ""
    secret_key: str = ""
    bucket: str = ""
    create_bucket_on_put: bool = True
    bucket_url_format: Literal["auto", "path", "virtual"] = "auto"
    """s3: whether the bucket stands in the path or before the host; auto: before AWS's hosts only."""

    large_object_chunk_size: Mebibytes = 0
    """swift, s3: MiB of an image's first segments or parts; 0 for 200 and 10."""
    cacert: str = ""
    """swift, s3: file with the certificate authorities that the store's certificate is checked against."""

    def missing(self) -> Iterator[str]:
        """What is to be set, or set otherwise, in words."""
        wanted = {
            "swift": ("auth_address", "user", "key", "container"),
            "s3": ("host", "access_key", "secret_key", "bucket"),
        }
        for name in wanted.get(self.type, ()):
            value = getattr(self, name)
            if not value:
                yield f"the option {name}"
            elif name in ("auth_address", "host") and not value.startswith(("http://", "https://")):
                yield f"an address with http:// or https:// for {name}"
        if self.type == "swift" and self.user and not all(self.user.partition(":")):
            yield "PROJECT:USER for user"
        if self.type == "s3" and 0 < self.large_object_chunk_size < LEAST_PART_MIB:
            yield f"at least {LEAST_PART_MIB} for large_object_chunk_size"
