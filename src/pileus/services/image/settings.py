"""What operators can set of images."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.services.image.store_settings import StoreSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    max_size_gib: int = 1024
    """Largest image that is taken."""
    max_properties: int = 128
    max_tags: int = 128
    max_members: int = 128
    image_size_total: int = -1
    """MiB that a project may store, where the identity service has no limit of this name; -1 for any amount."""
    image_stage_total: int = -1
    image_count_total: int = -1
    image_count_uploading: int = -1
    stores: dict[str, StoreSettings] = {}
    """By name; a store `file` is there where none is given."""
    default_store: str = "file"
    show_locations: bool = False
    """Whether users see and set where an image's data is."""
    require_format_match: bool = True
    """Whether data must be of the format that its image says."""
    secure_hash: bool = True
    """Whether data that is added by location is read and hashed."""
    import_methods: tuple[str, ...] = ("glance-direct", "web-download", "copy-image", "glance-download")
    import_allowed_ports: tuple[int, ...] = (80, 443)
    """Ports that users may have us fetch from."""
    import_allowed_networks: tuple[str, ...] = ()
    """Private, loopback or link-local networks that users may have us fetch from all the same."""
    inject_properties: dict[str, str] = {}
    """What every image gets that is imported by other than an administrator."""
    decompress: bool = True
    """Whether images of container format `compressed` are unpacked on import."""
    convert_to: Literal["", "raw", "qcow2"] = ""
    """The format that imported disks are converted to."""
    copied_properties: tuple[str, ...] = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
    """Properties, by how their names begin, that come along from another image service."""
    cache_max_gib: int = 10
    upload_lease_seconds: float = 10.0
    """An upload that its process has not been heard of for so long is taken for broken off."""
