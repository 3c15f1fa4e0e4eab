"""What a path names."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from pileus.kernel.errors import BadRequest, NotFound, PreconditionFailed

MAX_ACCOUNT, MAX_CONTAINER, MAX_OBJECT = 256, 256, 1024
"""Bytes, as `/info` says."""
ACCOUNT_PREFIX = "AUTH_"


class Name(NamedTuple):
    account: str
    container: str = ""
    object: str = ""

    @property
    def path(self) -> str:
        """`account/container/object`."""
        return "/".join(filter(None, self))

    @property
    def project_id(self) -> str | None:
        """Whose account it is."""
        return self.account.removeprefix(ACCOUNT_PREFIX) if self.account.startswith(ACCOUNT_PREFIX) else None


@lru_cache(maxsize=1024)
def parse(path: str) -> Name:
    """`/v1/account/container/object`, decoded; slashes of the object's name are kept, one at its end too."""
    if "\0" in path or "�" in path or not _encodes(path):
        raise PreconditionFailed("Invalid UTF8 or contains NULL")
    parts = path.split("/", 4)[2:]
    if not parts or not parts[0]:
        raise NotFound("The path names no account.")
    name = Name(*parts)
    if not name.container and name.object:
        raise NotFound("The path names no container.")
    check_container(name.container)
    check_object(name.object)
    if len(name.account.encode()) > MAX_ACCOUNT:
        raise BadRequest(f"Account name length of {len(name.account)} longer than {MAX_ACCOUNT}")
    return name


def check_container(container: str) -> None:
    if len(container.encode()) > MAX_CONTAINER:
        raise BadRequest(f"Container name length of {len(container.encode())} longer than {MAX_CONTAINER}")


def check_object(name: str) -> None:
    if len(name.encode()) > MAX_OBJECT:
        raise BadRequest(f"Object name length of {len(name.encode())} longer than {MAX_OBJECT}")


def from_header(text: str) -> str:
    """A name that a header has as in a URL, or as it is. 412 where it is not UTF-8."""
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeError:
        raise PreconditionFailed("Invalid UTF8 or contains NULL") from None


def as_text(header: str) -> str:
    """A header's value, whose bytes are UTF-8; where they are not, as it is."""
    if header.isascii():
        return header
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def parse_reference(text: str, what: str) -> tuple[str, str]:
    """`container/object` as headers have it, decoded already; 412 where it is anything else."""
    container, slash, name = text.lstrip("/").partition("/")
    if not (container and slash and name) or "\0" in text or not _encodes(text):
        raise PreconditionFailed(f"{what} header must be of the form <container name>/<object name>")
    check_container(container)
    check_object(name)
    return container, name


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
