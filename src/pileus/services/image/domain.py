"""What an image may be: states, formats, who may see what."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

Shown = Literal["public", "community", "shared", "private"]
ContainerFormat = Literal["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
DiskFormat = Literal["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]
VISIBILITIES: tuple[str, ...] = get_args(Shown)
CONTAINER_FORMATS: tuple[str, ...] = get_args(ContainerFormat)
DISK_FORMATS: tuple[str, ...] = get_args(DiskFormat)
MEMBER_STATES = ("pending", "accepted", "rejected")


class Status(StrEnum):
    QUEUED = "queued"
    """Known, without data."""
    SAVING = "saving"
    """Its data is coming in."""
    UPLOADING = "uploading"
    """Its data comes to the stage, or is there, to be imported."""
    IMPORTING = "importing"
    """A task brings its data to the stores."""
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    """Its data is kept from all but administrators."""
    DELETED = "deleted"
    """Gone for everybody; its strand takes the data away, then the row."""


ON_ITS_WAY = (Status.SAVING, Status.UPLOADING, Status.IMPORTING)


class TaskStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"

    @property
    def ended(self) -> bool:
        return self in (TaskStatus.SUCCESS, TaskStatus.FAILURE)


IMPORTING_TO, FAILED_IMPORT = "os_glance_importing_to_stores", "os_glance_failed_import"
"""Properties that tell how an import goes: names of stores with commas between (Image API v2, "Import an image")."""
HASHES: dict[str, int] = {"sha256": 64, "sha512": 128, "sha384": 96, "sha1": 40, "md5": 32}
"""Algorithms that `os_hash_algo` may name, and the hexadecimal digits of their digests."""


def has_data(status: str) -> bool:
    return status in (Status.ACTIVE, Status.DEACTIVATED)


def stored_format(disk_format: str, container_format: str) -> str | None:
    """The format that the bytes must have (as pileus.lib.image_format names it), or None where any will do.

    A container of format `docker` holds a root filesystem, whatever it says of a disk; `ova`, `ovf` and
    `compressed` wrap a disk that is not looked into.
    """
    if container_format == "docker":
        return "rootfs"
    return None if container_format in ("ova", "ovf", "compressed") else disk_format
