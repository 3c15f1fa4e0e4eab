"""Feeds a stream to the parsers of all formats and says what it is."""

from __future__ import annotations

from typing import Final

import msgspec

from pileus.lib.image_format import medium, qemu, virtual_disk, vmdk
from pileus.lib.image_format.parser import (
    MAX_PART,
    TAIL,
    Found,
    Parser,
    ParserFactory,
    Part,
    Tail,
    Truncated,
)

_PARSERS: Final[tuple[tuple[str, ParserFactory], ...]] = (
    ("qcow2", qemu.qcow2),
    ("qcow", qemu.qcow),
    ("qed", qemu.qed),
    ("vmdk", vmdk.vmdk),
    ("vmdk", vmdk.vmdk_descriptor),
    ("vdi", virtual_disk.vdi),
    ("vhd", virtual_disk.vhd),
    ("vhdx", virtual_disk.vhdx),
    ("ploop", virtual_disk.ploop),
    ("luks", virtual_disk.luks),
    ("tar", medium.tar),
    ("tar.gz", medium.tar_gz),
    ("tar.xz", medium.tar_xz),
    ("zst", medium.zst),
    ("iso", medium.iso),
    ("gpt", medium.gpt),
    ("mbr", medium.mbr),
)
"""In the order of precedence: what is named first contains what is named later."""

_DISKS: Final = frozenset({"raw", "gpt", "mbr"})
_ARCHIVES: Final = frozenset({"tar", "tar.gz", "tar.xz", "zst"})
_CONTAINS: Final = {
    "vhd": frozenset({"gpt", "mbr", "iso"}),
    "iso": frozenset({"gpt", "mbr"}),
    "gpt": frozenset({"mbr"}),
}
"""Which formats may rightly be recognised beside another; any other pair is a file with two faces."""

_STORED_AS: Final = {
    "raw": _DISKS | {"iso", "luks"},
    "iso": frozenset({"iso"}),
    "ami": _DISKS,
    "ari": _DISKS | _ARCHIVES,
    "aki": _DISKS | _ARCHIVES,
    "rootfs": _ARCHIVES,
}


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream of bytes is."""

    format: str
    """qcow2, qcow, qed, vmdk, vdi, vhd, vhdx, ploop, luks, tar, tar.gz, tar.xz, zst, iso, gpt, mbr, or raw
    for anything else."""
    size: int
    """Bytes of the stream."""
    virtual_size: int | None
    """Bytes of the disk that a guest would see; None for archives, and where the format does not tell."""
    variant: str | None = None
    """Version or kind within the format: `v3`, `streamOptimized`, `dynamic`."""
    complete: bool = True
    """False when the stream ended inside the headers, so that nothing of them can be told."""
    encrypted: bool = False
    unsafe_reasons: tuple[str, ...] = ()
    """Why a hypervisor should not be given it; each reads on from "the image is refused: "."""

    @property
    def safe(self) -> bool:
        return self.complete and not self.unsafe_reasons


def is_stored_as(inspection: Inspection, disk_format: str) -> bool:
    """Whether bytes of this format are what an image of that `disk_format` should hold.

    Machine images, kernels and ramdisks (ami, aki, ari) have no mark of their own: anything that is neither a
    virtual disk's format nor an ISO will do. An ISO may be called raw, as Glance has it: written to a disk, a hybrid one
    starts. `rootfs` is an archive of a root filesystem.
    """
    return inspection.format in _STORED_AS.get(disk_format, {disk_format})


class Inspector:
    """Finds out what a stream is while it passes: `feed` every chunk in order, then `finish`.

    Holds what the parsers wait for, some kilobytes as a rule and at most 1 MiB, whatever the stream's length.
    How the stream is cut into chunks makes no difference.
    """

    def __init__(self) -> None:
        self._size = 0
        self._tail = b""
        self._waiting = [_Run(name, parser()) for name, parser in _PARSERS]
        self._runs = list(self._waiting)
        self._inspection: Inspection | None = None

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the stream."""
        if self._inspection is not None:
            raise ValueError("the inspector was fed after it had finished")
        if self._waiting:
            for run in self._waiting:
                run.feed(chunk, self._size)
            self._waiting = [run for run in self._waiting if run.wants_more]
        self._size += len(chunk)
        self._tail = bytes(chunk[-TAIL:]) if len(chunk) >= TAIL else (self._tail + chunk)[-TAIL:]

    def finish(self) -> Inspection:
        """The stream has ended: what it is. May be called again."""
        if self._inspection is None:
            for run in self._runs:
                run.end(self._tail)
            self._inspection = self._judge({run.name: run for run in self._runs if run.recognised})
        return self._inspection

    def _judge(self, recognised: dict[str, _Run]) -> Inspection:
        name = next(iter(recognised), "raw")
        found = recognised[name].found if recognised else None
        if name == "raw":
            return Inspection(format="raw", size=self._size, virtual_size=self._size)
        if found is None:
            return Inspection(format=name, size=self._size, virtual_size=None, complete=False)
        virtual_size = found.virtual_size
        if virtual_size is None and name in _STORED_AS["raw"] and not found.unsafe:
            virtual_size = max(self._size - found.payload_offset, 0)
        faces = [
            f"it could be taken for {other} as well"
            for other in recognised
            if other != name and other not in _CONTAINS.get(name, ())
        ]
        return Inspection(
            format=name,
            size=self._size,
            virtual_size=virtual_size,
            variant=found.variant,
            encrypted=found.encrypted,
            unsafe_reasons=(*found.unsafe, *faces),
        )


class _Run:
    """One parser at work: gathers the part that it waits for, from chunk to chunk."""

    def __init__(self, name: str, parser: Parser) -> None:
        self.name = name
        self.recognised = False
        self.found: Found | None = None
        self._parser = parser
        self._at = 0
        self._gathered = bytearray()
        self._wanted: Part | Tail | None = next(parser)

    @property
    def wants_more(self) -> bool:
        return isinstance(self._wanted, Part)

    def feed(self, chunk: bytes | memoryview, position: int) -> None:
        """Take what is wanted of a chunk that begins at `position`, perhaps several parts."""
        while isinstance(self._wanted, Part):
            start = self._wanted.offset + len(self._gathered)
            missing = self._wanted.length - len(self._gathered)
            if self._wanted.offset >= self._at and missing > 0:
                if start >= position + len(chunk):
                    return
                self._gathered += chunk[start - position : start - position + missing]
                if len(self._gathered) < self._wanted.length:
                    return
            self._send()

    def end(self, tail: bytes) -> None:
        """Nothing follows: give what there is of the part it waits for, and so on until it is done."""
        while self._wanted is not None:
            if isinstance(self._wanted, Tail):
                self._gathered = bytearray(tail[-self._wanted.length :])
            self._send()

    def _send(self) -> None:
        data = bytes(self._gathered)
        if isinstance(self._wanted, Part):
            self._at = max(self._at, self._wanted.offset + len(data))
        self._gathered.clear()
        try:
            self._wanted = self._parser.send(data)
        except StopIteration as stop:
            self._wanted, self.found, self.recognised = None, stop.value, stop.value is not None
        except Truncated:
            self._wanted, self.recognised = None, True
        if isinstance(self._wanted, Part) and self._wanted.length > MAX_PART:
            raise ValueError(f"the parser of {self.name} asks for {self._wanted.length} bytes at once")
