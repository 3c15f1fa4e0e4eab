"""What all servers of a cluster must agree on, in the file that Swift has it in: `swift.conf`, beside the rings."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import NamedTuple

from pileus.kernel.config import ConfigError
from pileus.services.object_store.policies import ErasureCoding, Policies, StoragePolicy

KIB = 1024
SEGMENT_BYTES = 1024 * KIB
_POLICY = re.compile(r"storage-policy:(\d+)")


class SwiftConf(NamedTuple):
    hash_prefix: str = ""
    """Goes into the hash of every name."""
    hash_suffix: str = ""
    policies: tuple[StoragePolicy, ...] = ()
    """From `[storage-policy:INDEX]`; none where it has no such sections."""


def read(file: Path) -> SwiftConf:
    """Nothing is set where there is no such file. Raises ConfigError."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(file)
        policies = tuple(
            _policy(int(matched[1]), parser[section])
            for section in parser.sections()
            if (matched := _POLICY.fullmatch(section))
        )
        if policies:
            Policies(policies)
    except (configparser.Error, ValueError, ConfigError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from error
    return SwiftConf(
        parser.get("swift-hash", "swift_hash_path_prefix", fallback=""),
        parser.get("swift-hash", "swift_hash_path_suffix", fallback=""),
        policies,
    )


def _policy(index: int, section: configparser.SectionProxy) -> StoragePolicy:
    kind = section.get("policy_type", "replication")
    if kind not in ("replication", "erasure_coding"):
        raise ValueError(f"[{section.name}] policy_type is replication or erasure_coding, not {kind!r}")
    return StoragePolicy(
        name=section.get("name", ""),
        index=index,
        aliases=tuple(each.strip() for each in section.get("aliases", "").split(",") if each.strip()),
        default=section.getboolean("default", False),
        deprecated=section.getboolean("deprecated", False),
        erasure_coding=_coding(section) if kind == "erasure_coding" else None,
    )


def _coding(section: configparser.SectionProxy) -> ErasureCoding:
    if section.getint("ec_duplication_factor", 1) != 1:
        raise ValueError(
            f"[{section.name}] ec_duplication_factor: fragments are not stored more than once here"
        )
    segment_bytes = section.getint("ec_object_segment_size", SEGMENT_BYTES)
    if segment_bytes % KIB:
        raise ValueError(f"[{section.name}] ec_object_segment_size must be a multiple of {KIB}")
    return ErasureCoding(
        data=section.getint("ec_num_data_fragments", 0),
        parity=section.getint("ec_num_parity_fragments", 0),
        code=section.get("ec_type", ""),
        segment_kib=segment_bytes // KIB,
    )
