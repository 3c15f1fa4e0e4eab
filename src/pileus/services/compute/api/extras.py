"""Small corners: external events, migrations, extensions."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.compute.api.types import Uuid
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

routes = Routes()
EVENTS_SINCE = {
    "volume-extended": V.ACTION_EVENTS,
    "power-update": V.POWER_UPDATE,
    "accelerator-request-bound": V.ACCELERATOR_BOUND,
}


class ExternalEvent(msgspec.Struct, forbid_unknown_fields=True):
    server_uuid: Uuid
    name: str
    status: Literal["failed", "completed", "in-progress"] = "completed"
    tag: str | UnsetType | None = UNSET


class HeardEvent(msgspec.Struct):
    """An event with what became of it, as a status of HTTP."""

    server_uuid: str
    name: str
    status: str
    code: int
    tag: str | UnsetType | None = UNSET


class EventsAnswer(msgspec.Struct):
    events: list[HeardEvent]


class ExternalEvents(Body):
    events: list[ExternalEvent] = field(required=True)


KNOWN_EVENTS = frozenset(
    {"network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted", *EVENTS_SINCE}
)


@routes.add(
    "POST",
    "/os-server-external-events",
    policy="os_compute_api:os-server-external-events:create",
    body=ExternalEvents,
    answers=EventsAnswer,
    also={207: EventsAnswer},
)
def receive_events(call: Call, tx: Tx, body: Any) -> Reply:
    """Hears that something about servers has changed, for their strands to look at."""
    heard = []
    for event in body.events:
        since = EVENTS_SINCE.get(event.name)
        if event.name not in KNOWN_EVENTS or (since is not None and not call.has(since)):
            raise BadRequest(
                f"Invalid input for field/attribute name. Value: {event.name}. It is no known event."
            )
        row = store.find(tx, event.server_uuid)
        code = 404 if row is None or row.deleted_at is not None else 422 if row.host is None else 200
        if code != 404:
            store.leave_unseen(tx, event.server_uuid)
            call.runtime.work.wake(tx, event.server_uuid)
        status = event.status if code == 200 else "failed"
        heard.append(HeardEvent(event.server_uuid, event.name, status, code, event.tag))
    codes = {each.code for each in heard}
    if codes == {404}:
        raise NotFound("No instances found for any event")
    return Reply.json(EventsAnswer(heard), 200 if codes <= {200} else 207)


class MigrationsAnswer(msgspec.Struct):
    migrations: list[dict[str, Any]]


@routes.add("GET", "/os-migrations", policy="os_compute_api:os-migrations:index")
def list_migrations(call: Call, tx: Tx) -> MigrationsAnswer:
    """Lists migrations: none, as no server moves yet."""
    return MigrationsAnswer([])


EXTENSIONS = tuple(
    """
    NMN OS-DCF OS-EXT-AZ OS-EXT-IMG-SIZE OS-EXT-IPS OS-EXT-IPS-MAC OS-EXT-SRV-ATTR OS-EXT-STS
    OS-FLV-DISABLED OS-FLV-EXT-DATA OS-SCH-HNT OS-SRV-USG os-access-ips os-admin-actions
    os-admin-password os-agents os-aggregates os-assisted-volume-snapshots os-attach-interfaces
    os-availability-zone os-baremetal-ext-status os-baremetal-nodes os-block-device-mapping
    os-block-device-mapping-v2-boot os-cell-capacities os-cells os-certificates os-cloudpipe
    os-cloudpipe-update os-config-drive os-console-auth-tokens os-console-output os-consoles
    os-create-backup os-create-server-ext os-deferred-delete os-evacuate
    os-extended-evacuate-find-host os-extended-floating-ips os-extended-hypervisors
    os-extended-networks os-extended-quotas os-extended-rescue-with-image os-extended-services
    os-extended-services-delete os-extended-status os-extended-volumes os-fixed-ips os-flavor-access
    os-flavor-extra-specs os-flavor-manage os-flavor-rxtx os-flavor-swap os-floating-ip-dns
    os-floating-ip-pools os-floating-ips os-floating-ips-bulk os-fping os-hide-server-addresses
    os-hosts os-hypervisor-status os-hypervisors os-instance-actions os-instance_usage_audit_log
    os-keypairs os-lock-server os-migrate-server os-migrations os-multiple-create os-networks
    os-networks-associate os-pause-server os-personality os-preserve-ephemeral-rebuild
    os-quota-class-sets os-quota-sets os-rescue os-security-group-default-rules os-security-groups
    os-server-diagnostics os-server-external-events os-server-group-quotas os-server-groups
    os-server-list-multi-status os-server-password os-server-sort-keys os-server-start-stop
    os-services os-shelve os-simple-tenant-usage os-suspend-server os-tenant-networks os-used-limits
    os-used-limits-for-admin os-user-data os-user-quotas os-virtual-interfaces
    os-volume-attachment-update os-volumes
    """.split()  # noqa: SIM905 - a list of ninety lines is no easier to read
)
"""Upstream's list, kept whole since they stopped being extensions: old clients look for names in it. It says
nothing of what a cloud can do."""


class Extension(msgspec.Struct):
    alias: str
    name: str
    description: str
    namespace: str = "http://docs.openstack.org/compute/ext/fake_xml"
    updated: str = "2014-12-03T00:00:00Z"
    links: list[str] = []


class ExtensionsAnswer(msgspec.Struct):
    extensions: list[Extension]


class ExtensionAnswer(msgspec.Struct):
    extension: Extension


def _extension(alias: str) -> Extension:
    name = "".join(word.title() for word in alias.removeprefix("os-").split("-"))
    return Extension(alias, name, f"{name}: a part of the API for good.")


@routes.add("GET", "/extensions", policy="os_compute_api:extensions")
def list_extensions(call: Call, tx: Tx) -> ExtensionsAnswer:
    """Lists what were extensions once."""
    return ExtensionsAnswer([_extension(alias) for alias in EXTENSIONS])


@routes.add("GET", "/extensions/{alias}", policy="os_compute_api:extensions")
def show_extension(call: Call, tx: Tx) -> ExtensionAnswer:
    """Shows one."""
    if call.params["alias"] not in EXTENSIONS:
        raise NotFound(f"There is no extension {call.params['alias']}.")
    return ExtensionAnswer(_extension(call.params["alias"]))
