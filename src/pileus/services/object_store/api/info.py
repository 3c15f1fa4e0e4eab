"""What this store can do."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import metadata, name, symlinks
from pileus.services.object_store.api import bulk_delete, bulk_upload, outcome
from pileus.services.object_store.large import slo
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.temp_url import DIGESTS, METHODS

routes = Routes(base="")
LISTING_LIMIT = 10_000


@routes.add("GET", "/info", policy=ANYONE, answers=dict[str, dict[str, Any]])
async def info(call: Call) -> dict[str, dict[str, Any]]:
    """Limits and features (Object Storage API, "Discoverability")."""
    state: ObjectStoreState = call.runtime.state
    settings = state.settings
    return {
        "swift": {
            "version": "2.38.0",
            "policies": state.policies.described(),
            "max_file_size": state.settings.max_file_size_gib * 2**30,
            "max_meta_name_length": metadata.MAX_NAME,
            "max_meta_value_length": metadata.MAX_VALUE,
            "max_meta_count": metadata.MAX_COUNT,
            "max_meta_overall_size": metadata.MAX_OVERALL,
            "max_header_size": 8192,
            "max_object_name_length": name.MAX_OBJECT,
            "max_container_name_length": name.MAX_CONTAINER,
            "max_account_name_length": name.MAX_ACCOUNT,
            "container_listing_limit": LISTING_LIMIT,
            "account_listing_limit": LISTING_LIMIT,
            "extra_header_count": 0,
            "account_autocreate": True,
            "allow_account_management": True,
            "strict_cors_mode": True,
            "valid_api_versions": ["v1"],
        },
        "slo": {
            "max_manifest_segments": slo.MAX_SEGMENTS,
            "max_manifest_size": slo.MAX_MANIFEST_BYTES,
            "min_segment_size": 1,
            "yield_frequency": int(outcome.BLANK_SECONDS),
            "allow_async_delete": True,
        },
        "object_versioning": {},
        "dlo": {"max_segments": 10_000},
        "tempurl": {
            "methods": list(METHODS),
            "allowed_digests": sorted(DIGESTS),
            "incoming_remove_headers": ["x-timestamp"],
            "incoming_allow_headers": [],
            "outgoing_remove_headers": ["x-object-meta-*"],
            "outgoing_allow_headers": ["x-object-meta-public-*"],
        },
        "account_quotas": {},
        "container_quotas": {},
        "bulk_upload": {
            "max_containers_per_extraction": bulk_upload.MAX_CONTAINERS,
            "max_failed_extractions": bulk_upload.MAX_FAILURES,
        },
        "bulk_delete": {
            "max_deletes_per_request": bulk_delete.MAX_DELETES,
            "max_failed_deletes": bulk_delete.MAX_FAILURES,
        },
        "symlink": {"symloop_max": symlinks.MAX_HOPS, "static_links": True},
        "formpost": {"allowed_digests": sorted(DIGESTS)},
        "staticweb": {},
        "crossdomain": {},
        "container_sync": {
            "realms": {
                realm: {"clusters": {cluster: {} for cluster in kept.clusters}}
                for realm, kept in settings.container_sync.realms.items()
            }
        },
        "etag_quoter": {"enable_by_default": settings.quoted_etags},
        "versioned_writes": {"allowed_flags": ["x-versions-location", "x-history-location"]},
        "tempauth": {"account_acls": True},
        **({"encryption": {"enabled": True}} if settings.encryption else {}),
        **(
            {"name_check": {"forbidden_chars": settings.forbidden_characters}}
            if settings.forbidden_characters
            else {}
        ),
        **({"read_only": {}} if settings.read_only else {}),
        **({"ratelimit": _rates(settings)} if state.rates.any else {}),
        **(
            {"domain_remap": {"default_reseller_prefix": name.ACCOUNT_PREFIX[:-1]}}
            if settings.storage_domains
            else {}
        ),
        **({"cname_lookup": {"lookup_depth": settings.cname_lookup_depth}} if state.cnames else {}),
    }


@routes.add("OPTIONS", "/info", policy=ANYONE, answers=NOTHING)
async def info_options(call: Call) -> Reply:
    """What may be asked of it."""
    return Reply(200, headers={"allow": "HEAD, GET, OPTIONS"})


def _rates(settings: Settings) -> dict[str, Any]:
    sizes = sorted(settings.container_ratelimits.items(), key=lambda each: int(each[0]))
    return {
        "account_ratelimit": settings.account_ratelimit,
        "max_sleep_time_seconds": settings.ratelimit_max_sleep_seconds,
        "container_ratelimits": [[int(size), rate] for size, rate in sizes],
    }
