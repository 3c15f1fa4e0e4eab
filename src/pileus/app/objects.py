"""Where the object store keeps what it is given: in folders of this host, or on storage nodes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from pileus.drivers.object.cluster.auditor import Auditor
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import kept_ring
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.assemble import on_folders
from pileus.drivers.object.erasure.code import Unusable
from pileus.drivers.object.listing.daemons import node_daemons, teller_daemons
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.drivers.object.node.cluster import OnNodes
from pileus.drivers.object.node.rings import CONF, Rings, RingsError
from pileus.drivers.object.presence import Presence, newest
from pileus.drivers.object.summary import SUFFIX_POWER
from pileus.drivers.object.wire.handshake import KeyFileError, read_key
from pileus.kernel.clock import Clock
from pileus.kernel.config import ConfigError
from pileus.kernel.files import write_whole
from pileus.lib.ring.affinity import Affinity, locality, nearness
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError, ObjectDevice
from pileus.services.object_store.listings import Listings
from pileus.services.object_store.policies import Policies, StoragePolicy
from pileus.services.object_store.recon import Recon
from pileus.services.object_store.settings import Settings

T = TypeVar("T")


class HashSecret(msgspec.Struct, frozen=True):
    prefix: str = ""
    suffix: str = ""


class ObjectStore(NamedTuple):
    devices: Mapping[int, ObjectDevice]
    """By the index of storage policies."""
    listings: Listings
    daemons: Daemons
    settings: Settings
    recon: Recon
    rings: Callable[[], Rings] | None = None
    """Where there are storage nodes."""


def object_store(settings: Settings, folder: Path, clock: Clock) -> ObjectStore:
    """Nothing is started yet. Raises ConfigError."""
    daemons = Daemons(clock, folder / "walks")
    if settings.rings:
        return _on_nodes(settings, folder, clock, daemons)
    secret = _with_hash_secret(settings, folder)
    count = _device_count(settings.devices, settings.replicas, folder)
    listings = _lists(settings, count, folder, clock, daemons)
    presence = Presence(clock)
    if count > 1:
        daemons.add(presence)
    devices: dict[int, ObjectDevice] = {}
    for policy in Policies(settings.policies):
        own = f"device-{{}}{f'-policy-{policy.index}' * (policy.index > 0)}"
        folders = [folder / own.format(number + 1) for number in range(count)]
        if count > 1:
            _welcome(folders, presence)
        if policy.erasure_coding is not None:
            devices[policy.index] = _erasure_coded(folders, policy, clock, daemons)
        elif len(folders) == 1:
            devices[policy.index] = ObjectEngine.on_host(folders[0])
        else:
            devices[policy.index] = _replicated(folders, settings.replicas, policy, clock, daemons)
    return ObjectStore(devices, listings, daemons, secret, Recon(daemons, devices=folder))


def _welcome(folders: list[Path], presence: Presence) -> None:
    """Nobody forgets deletions while the process is down: only who was away while others were there is refused."""
    try:
        until = newest(folders)
        for folder in folders:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            presence.begin(folder, until)
    except DeviceError as error:
        raise ConfigError(f"object_store.devices: {error}") from error


def _device_count(said: int | None, replicas: int | None, folder: Path) -> int:
    """As said, and never fewer than there were, nor than there are to be copies."""
    file = folder / "devices"
    kept = int(file.read_text()) if file.exists() else 1
    count = kept if said is None else said
    if count < kept:
        raise ConfigError(
            f"object_store.devices is {count}, and objects are spread over {kept}: set it to {kept} again, or leave it "
            "out; fewer would lose what only the others have"
        )
    if replicas is not None and replicas > count:
        raise ConfigError(
            f"object_store.replicas is {replicas}, and {count} {'device is' if count == 1 else 'devices are'} there for them: "
            f"a device holds one copy of an object. Set object_store.devices (--devices) to {replicas} or more, or "
            f"object_store.replicas (--replicas) to {count} or fewer"
        )
    if count != kept:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, str(count).encode())
    return count


def _with_hash_secret(settings: Settings, folder: Path) -> Settings:
    """What goes into the hash of every name: drawn where there is nothing yet, and the same ever after."""
    file = folder / "hash-secret.json"
    said = HashSecret(prefix=settings.hash_prefix, suffix=settings.hash_suffix)
    if file.exists():
        kept = msgspec.json.decode(file.read_bytes(), type=HashSecret)
    elif (folder / "device-1").exists():
        kept = said  # of a store that began before there was a secret
    else:
        kept = said if said != HashSecret() else HashSecret(secrets.token_hex(16), secrets.token_hex(16))
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, msgspec.json.encode(kept), 0o600)
    if said not in (HashSecret(), kept):
        raise ConfigError(
            f"object_store.hash_prefix and hash_suffix differ from those that all names were hashed with, in {file}: "
            "leave them out, or nothing is found any more"
        )
    return msgspec.structs.replace(settings, hash_prefix=kept.prefix, hash_suffix=kept.suffix)


def _lists(settings: Settings, devices: int, folder: Path, clock: Clock, daemons: Daemons) -> RingListings:
    """As many replicas as objects have; the first device's are where an only one's are, so that devices can be added."""
    folders = [
        folder / "listings",
        *(folder / f"device-{n}" / "lists" for n in range(2, devices + 1)),
    ]
    members = {number: SqliteMember(each, clock, journal=devices > 1) for number, each in enumerate(folders)}
    ring = None if devices == 1 else kept_ring(folder / "lists.builder", devices, settings.replicas)
    listings = RingListings(Placement(members, ring), folder / "listings", clock)
    for daemon in (
        *node_daemons(members, listings, clock, shard_rows=settings.container_shard_rows),
        *teller_daemons(listings),
    ):
        daemons.add(daemon)
    return listings


def _replicated(
    folders: list[Path], replicas: int | None, policy: StoragePolicy, clock: Clock, daemons: Daemons
) -> ObjectDevice:
    builder = f"object{f'-{policy.index}' * (policy.index > 0)}.builder"
    ring = kept_ring(folders[0].parent / builder, len(folders), replicas)
    members = {
        number: ObjectEngine.on_host(each, suffix_power=SUFFIX_POWER) for number, each in enumerate(folders)
    }
    cluster = ObjectCluster(ring, members, clock)
    for daemon in (
        Replicator(cluster.placement, members, clock, RECLAIM_SECONDS),
        Auditor(members, members, ring.part_power),
    ):
        if policy.index:
            daemon.name = f"{daemon.name}-{policy.index}"
        daemons.add(daemon)
    return cluster


def _erasure_coded(
    folders: list[Path], policy: StoragePolicy, clock: Clock, daemons: Daemons
) -> ObjectDevice:
    """On a single device a folder for each fragment. Raises ConfigError where it can't be."""
    coding = policy.erasure_coding
    assert coding is not None
    try:
        name = f"object-reconstructor-{policy.index}"
        if len(folders) == 1:
            folders = [folders[0] / f"d{number}" for number in range(coding.data + coding.parity)]
        device, reconstructor = on_folders(folders, coding, clock, name)
    except Unusable as error:
        raise ConfigError(f"object_store.policies: {policy.name!r}: {error}") from error
    daemons.add(reconstructor)
    return device


def _on_nodes(settings: Settings, folder: Path, clock: Clock, daemons: Daemons) -> ObjectStore:
    try:
        rings = Rings(Path(settings.rings))
        key = read_key(Path(settings.cluster_key) if settings.cluster_key else rings.folder / "cluster.key")
    except (RingsError, OSError) as error:
        raise ConfigError(f"object_store.rings: {error}") from error
    except KeyFileError as error:
        raise ConfigError(f"object_store.cluster_key: {error}") from error
    if rings.conf.policies and settings.policies:
        raise ConfigError(
            f"object_store.policies: {rings.folder / CONF} has storage policies too; have them there alone, where "
            "storage nodes read them as well"
        )
    for policy in Policies(rings.conf.policies or settings.policies):
        if policy.erasure_coding is not None and not rings.conf.policies:
            raise ConfigError(
                f"object_store.policies: storage nodes must know that {policy.name!r} is erasure-coded: move all "
                f"policies to {rings.folder / CONF}, as [storage-policy:{policy.index}]"
            )
        if policy.index not in rings.objects:
            raise ConfigError(
                f"object_store.policies: {policy.name!r} has the index {policy.index}, "
                f"and there is no object-{policy.index}.ring.gz in {rings.folder}"
            )
    affinity = Affinity(
        _places("read_affinity", nearness, settings.read_affinity),
        _places("write_affinity", locality, settings.write_affinity),
    )
    try:
        store = OnNodes(rings, key, folder / "listings", clock, affinity)
    except Unusable as error:
        raise ConfigError(f"storage policies in {rings.folder / CONF}: {error}") from error
    for daemon in (*teller_daemons(store.listings), store.follower):
        daemons.add(daemon)
    shared = msgspec.structs.replace(
        settings,
        hash_prefix=rings.conf.hash_prefix,
        hash_suffix=rings.conf.hash_suffix,
        policies=rings.conf.policies or settings.policies,
    )
    recon = Recon(daemons, rings=lambda: store.follower.rings.files)
    return ObjectStore(store.devices, store.listings, daemons, shared, recon, lambda: store.follower.rings)


def _places(setting: str, read: Callable[[str], T], said: str) -> T:
    try:
        return read(said)
    except ValueError as error:
        raise ConfigError(f"object_store.{setting}: {error}") from error
