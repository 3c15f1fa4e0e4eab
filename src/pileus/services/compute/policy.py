"""The compute API's rules, under upstream's names and with its defaults. Source: Nova's policy reference."""

from __future__ import annotations

from typing import Final

from pileus.kernel.policy import Rule
from pileus.kernel.policy.base import ANY, PROJECT_RULES
from pileus.kernel.policy.base import NOBODY as NO

ADMIN: Final = "rule:context_is_admin"
MANAGER: Final = "rule:project_manager_or_admin"
MEMBER: Final = "rule:project_member_or_admin"
READER: Final = "rule:project_reader_or_admin"
SERVICE: Final = "rule:service_or_admin"
OWNER: Final = "(rule:context_is_admin) or user_id:%(user_id)s"

_TABLE: Final[dict[str, dict[str, str]]] = {
    "os-admin-actions": {ADMIN: "reset_state inject_network_info"},
    "os-admin-password": {MEMBER: "."},
    "os-aggregates": {ADMIN: "set_metadata add_host create remove_host update index delete show"},
    "os-assisted-volume-snapshots": {SERVICE: "create delete"},
    "os-attach-interfaces": {READER: "list show", MEMBER: "create delete"},
    "os-availability-zone": {ANY: "list", ADMIN: "detail"},
    "os-baremetal-nodes": {ADMIN: "list show"},
    "os-console-auth-tokens": {ADMIN: "."},
    "os-console-output": {MEMBER: "."},
    "os-create-backup": {MEMBER: "."},
    "os-deferred-delete": {MEMBER: "restore force"},
    "os-evacuate": {ADMIN: "."},
    "os-extended-server-attributes": {ADMIN: "."},
    "extensions": {ANY: "."},
    "os-flavor-access": {ADMIN: "add_tenant_access remove_tenant_access ."},
    "os-flavor-extra-specs": {READER: "show index", ADMIN: "create update delete"},
    "os-flavor-manage": {ADMIN: "create update delete"},
    "os-floating-ip-pools": {ANY: "."},
    "os-floating-ips": {MEMBER: "add remove create delete", READER: "list show"},
    "os-hosts": {ADMIN: "list show update reboot shutdown start"},
    "os-hypervisors": {ADMIN: "list list-detail statistics show uptime search servers"},
    "os-instance-actions": {ADMIN: "events:details events", READER: "list show"},
    "os-instance-usage-audit-log": {ADMIN: "list show"},
    "ips": {READER: "show index"},
    "os-keypairs": {OWNER: "index create delete show"},
    "limits": {ANY: ".", ADMIN: "other_project"},
    "os-lock-server": {MEMBER: "lock unlock", ADMIN: "unlock:unlock_override"},
    "os-migrate-server": {MANAGER: "migrate migrate_live", ADMIN: "migrate:host migrate_live:host"},
    "os-migrations": {MANAGER: "index", ADMIN: "index:all_projects index:host"},
    "os-multinic": {MEMBER: "add remove"},
    "os-networks": {READER: "list show"},
    "os-pause-server": {MEMBER: "pause unpause"},
    "os-quota-class-sets": {ADMIN: "show update"},
    "os-quota-sets": {ADMIN: "update delete", ANY: "defaults", READER: "show detail"},
    "os-remote-consoles": {MEMBER: "."},
    "os-rescue": {MEMBER: "."},
    "os-unrescue": {MEMBER: "."},
    "os-security-groups": {
        READER: "get show list",
        MEMBER: "create update delete rule:create rule:delete add remove",
    },
    "os-server-diagnostics": {ADMIN: "."},
    "os-server-external-events": {SERVICE: "create"},
    "os-server-groups": {MEMBER: "create delete", READER: "index show", ADMIN: "index:all_projects"},
    "server-metadata": {READER: "index show", MEMBER: "create update_all update delete"},
    "os-server-password": {READER: "show", MEMBER: "clear"},
    "os-server-shares": {READER: "index show", MEMBER: "create delete"},
    "os-server-tags": {MEMBER: "delete_all update_all delete update", READER: "index show"},
    "servers": {
        READER: "index detail show show:flavor-extra-specs",
        ADMIN: (
            "index:get_all_tenants detail:get_all_tenants allow_all_filters show:host_status "
            "show:host_status:unknown-only create:forced_host create:zero_disk_flavor "
            "migrations:show migrations:index:host"
        ),
        MEMBER: (
            "create create:attach_volume create:attach_network create:trusted_certs delete update "
            "confirm_resize revert_resize reboot resize rebuild rebuild:trusted_certs create_image "
            "create_image:allow_volume_backed start stop trigger_crash_dump"
        ),
        MANAGER: "migrations:force_complete migrations:delete migrations:index",
    },
    "os-services": {ADMIN: "list update delete"},
    "os-shelve": {MEMBER: "shelve unshelve", ADMIN: "unshelve_to_host shelve_offload"},
    "os-simple-tenant-usage": {READER: "show", ADMIN: "list"},
    "os-suspend-server": {MEMBER: "resume suspend"},
    "os-tenant-networks": {READER: "list show"},
    "os-volumes": {
        READER: "list detail show snapshots:list snapshots:detail snapshots:show",
        MEMBER: "create delete snapshots:create snapshots:delete",
    },
    "os-volumes-attachments": {READER: "index show", MEMBER: "create update delete", SERVICE: "swap"},
}
"""By noun and check: the verbs, a dot standing for the noun alone."""

_OTHERS: Final = {
    "compute:aggregates:images": ADMIN,
    "compute:server:topology:index": READER,
    "compute:server:topology:host:index": ADMIN,
    "compute:servers:create:requested_destination": ADMIN,
    "network:attach_external_network": ADMIN,
    "compute:servers:resize:cross_cell": NO,
}

RULES: Final = (
    *PROJECT_RULES,
    Rule("admin_api", "is_admin:True", scope_types=()),
    Rule("admin_or_owner", "is_admin:True or project_id:%(project_id)s", scope_types=()),
    Rule("service_api", "role:service", "Services of the cloud.", scope_types=()),
    Rule("service_or_admin", "rule:service_api or rule:context_is_admin", scope_types=()),
    *(
        Rule(f"os_compute_api:{noun}" if verb == "." else f"os_compute_api:{noun}:{verb}", check)
        for noun, checks in _TABLE.items()
        for check, verbs in checks.items()
        for verb in verbs.split()
    ),
    *(Rule(name, check) for name, check in _OTHERS.items()),
)
