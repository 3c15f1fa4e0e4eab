"""What this store can do."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import NotFound
from pileus.kernel.http.reply import JSON, Reply, encode_json
from pileus.services.object_store import metadata, name
from pileus.services.object_store.large import slo
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.temp_url import DIGESTS, METHODS

routes = Routes(base="")
LISTING_LIMIT = 10_000


@routes.add("GET", "/info", policy=ANYONE)
async def info(call: Call) -> dict[str, Any]:
    """Limits and features (Object Storage API, "Discoverability")."""
    state: ObjectStoreState = call.runtime.state
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
            "account_autocreate": True,
            "allow_account_management": True,
            "strict_cors_mode": True,
            "valid_api_versions": ["v1"],
        },
        "slo": {
            "max_manifest_segments": slo.MAX_SEGMENTS,
            "max_manifest_size": slo.MAX_MANIFEST_BYTES,
            "min_segment_size": 1,
            "yield_frequency": 10,
        },
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
    }


@routes.add("GET", "/recon/{check}", policy=ANYONE)
async def recon(call: Call, check: str) -> Any:
    """How this server does (Swift's documentation, "Cluster Telemetry and Monitoring")."""
    return _told(call, check, None)


@routes.add("GET", "/recon/{check}/{part}", policy=ANYONE)
async def recon_of(call: Call, check: str, part: str) -> Any:
    """The same of accounts, containers or objects."""
    return _told(call, check, part)


def _told(call: Call, check: str, part: str | None) -> Any:
    state: ObjectStoreState = call.runtime.state
    found = state.recon.answer(check, part)
    if found is None:
        raise NotFound("There is no such check.")
    return Reply(200, encode_json(found), {"content-type": JSON})
