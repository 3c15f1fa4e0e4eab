"""What operators can set of the object store."""

from __future__ import annotations

import msgspec

from pileus.services.object_store.following import SyncSettings
from pileus.services.object_store.policies import StoragePolicy
from pileus.services.object_store.temp_auth import TempAuthSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    operator_roles: tuple[str, ...] = ("admin", "member", "swiftoperator")
    """Roles that make a user the owner of the project's account."""
    reseller_admin_role: str = "ResellerAdmin"
    """The role that may do anything in any account."""
    hash_prefix: str = ""
    """Goes into the hash of every name; must never change once there are objects."""
    hash_suffix: str = ""
    """As `hash_prefix`."""
    max_file_size_gib: int = 5
    """Largest object in one piece."""
    container_sync: SyncSettings = SyncSettings()
    """Clouds that containers may follow into."""
    container_shard_rows: int = 1_000_000
    """A container with more objects is split into shards."""
    s3_domain: str = ""
    """Hosts under it are buckets' (`photos.s3.example.org` with `s3.example.org`); S3 also answers at the domain itself."""
    s3_lifecycle_interval_seconds: float = 3600.0
    """Between two walks over the buckets that have lifecycle rules."""
    s3_lifecycle_per_second: float = 500.0
    """Objects, versions and uploads that such a walk looks at in a second, at most."""
    s3_access_log_interval_seconds: float = 60.0
    """For so long at most requests that are logged wait in memory, before they are in the log's bucket."""
    s3_region: str = ""
    """The region that S3 requests must be signed for. Empty: any, as clients happen to be set up."""
    tempauth: TempAuthSettings = TempAuthSettings()
    """Users of the store's own, beside the identity service's."""
    read_only: bool = False
    """Whether nothing may be written, but for accounts that say otherwise."""
    read_only_allows_deletes: bool = False
    """Whether even then objects may be deleted."""
    quoted_etags: bool = False
    """Whether etags are in quotes where neither account nor container says."""
    account_ratelimit: float = 0.0
    """Containers that may be made and deleted in an account, a second; 0 for any number."""
    container_ratelimits: dict[str, float] = {}
    """Objects that may be written in a container, a second, by the number of objects from which on it holds."""
    ratelimit_max_sleep_seconds: float = 60.0
    """Who would have to wait for longer is refused."""
    forbidden_characters: str = ""
    """That no name may have."""
    storage_domains: tuple[str, ...] = ()
    """Hosts under these are accounts, and containers of accounts."""
    cname_lookup_depth: int = 0
    """So many CNAMEs are followed from another host to one of these; 0: DNS is not asked."""
    cname_lookup_nameservers: tuple[str, ...] = ()
    """Whom to ask, `ADDRESS` or `ADDRESS:PORT`; none: those that the host knows."""
    list_endpoints: bool = False
    """Whether everybody may ask which storage nodes hold something."""
    cross_domain_policy: str = '<allow-access-from domain="*" secure="false" />'
    """What `/crossdomain.xml` says."""
    expirer_interval_seconds: float = 300.0
    """How often objects are looked for whose time has come."""
    expirer_tasks_per_second: float = 50.0
    """Most that are deleted a second."""
    account_reaper_delay_seconds: float = 0.0
    """For so long what a deleted account had is let be."""
    account_reaper_interval_seconds: float = 300.0
    """How often deleted accounts are looked for."""
    encryption: bool = False
    """Whether what is written is encrypted; what was written before is read as it is."""
    encryption_secrets: dict[str, str] = {}
    """Root secrets by id, base64 of at least 32 bytes; the id that sorts last encrypts. Without any they are files in
    the state folder, of which the first is made."""
    devices: int | None = None
    """Folders that objects are spread over on this host; each is meant to be a disk of its own, mounted there. Left out:
    as many as there were at the last start, at first one."""
    replicas: int | None = None
    """Copies of each object, at most as many as there are devices. Left out: as at the last start, at first three."""
    rings: str = ""
    """Folder with the rings of a cluster (`container.ring.gz`, `object.ring.gz` …): storage nodes have everything then."""
    cluster_key: str = ""
    """The cluster's key, a file; `cluster.key` beside the rings by default."""
    read_affinity: str = ""
    """Regions and zones of the rings that this proxy reads from rather, as `r1=100, r2z3=200`: the lower, the nearer."""
    write_affinity: str = ""
    """Regions and zones that this proxy writes new data to first, as `r1, r2z3`; the replicator brings them home."""
    policies: tuple[StoragePolicy, ...] = ()
    """What containers can be promised; none: one policy, `Policy-0`."""
