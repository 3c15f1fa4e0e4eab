"""Who may do what: Neutron's rule names and defaults (its policy reference, 2025.2, without deprecated
forms).

Attributes have rules of their own: `create_port:binding:host_id` is asked when a body names that attribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pileus.kernel.policy import Rule

ADMIN: Final = "rule:admin_only"
SERVICE: Final = "rule:service_api"
_MANAGER: Final = "role:manager and project_id:%(project_id)s"
_MEMBER: Final = "role:member and project_id:%(project_id)s"
_READER: Final = "role:reader and project_id:%(project_id)s"
_NETWORK_MANAGER: Final = "role:manager and rule:network_owner"
_NETWORK_MEMBER: Final = "role:member and rule:network_owner"
_NETWORK_READER: Final = "role:reader and rule:network_owner"
_GROUP_MEMBER: Final = "role:member and rule:sg_owner"
_GROUP_READER: Final = "role:reader and rule:sg_owner"


def _any(*checks: str) -> str:
    return " or ".join(f"({check})" for check in checks)


_ADMIN_OR_MANAGER: Final = _any(ADMIN, _MANAGER)
_ADMIN_OR_MEMBER: Final = _any(ADMIN, _MEMBER)
_ADMIN_OR_READER: Final = _any(ADMIN, _READER)
_ADMIN_OR_SERVICE: Final = _any(ADMIN, SERVICE)
_SUBNET_WRITER: Final = _any(_MEMBER, ADMIN, _NETWORK_MEMBER)
_PORT_NETWORK_WRITER: Final = _any(ADMIN, SERVICE, _NETWORK_MEMBER)
_PORT_WRITER: Final = _any(ADMIN, SERVICE, _MEMBER)

_HELPERS: Final = {
    "context_is_admin": "role:admin",
    "service_api": "role:service",
    "owner": "project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "network_owner": "project_id:%(network:project_id)s",
    "admin_or_network_owner": "rule:context_is_admin or project_id:%(network:project_id)s",
    "admin_owner_or_network_owner": "rule:owner or rule:admin_or_network_owner",
    "admin_only": "rule:context_is_admin",
    "regular_user": "",
    "shared": "field:networks:shared=True",
    "default": "rule:admin_or_owner",
    "sg_owner": "project_id:%(security_group:project_id)s",
    "external": "field:networks:router:external=True",
    "external_network": "field:subnets:router:external=True",
    "shared_subnetpools": "field:subnetpools:shared=True",
    "shared_security_group": "field:security_groups:shared=True",
    "network_device": "field:port:device_owner=~^network:",
    "compute_device": "field:port:device_owner=~^compute:",
    "baremetal_device": "field:port:device_owner=~^baremetal:",
    "manila_device": "field:port:device_owner=~^manila:",
}

_NETWORK: Final = {
    "create_network": _ADMIN_OR_MEMBER,
    "create_network:shared": ADMIN,
    "create_network:router:external": ADMIN,
    "create_network:is_default": ADMIN,
    "create_network:port_security_enabled": _ADMIN_OR_MEMBER,
    "create_network:provider:network_type": ADMIN,
    "create_network:provider:physical_network": ADMIN,
    "create_network:provider:segmentation_id": ADMIN,
    "get_network": _any(ADMIN, _READER, SERVICE, "rule:shared", "rule:external"),
    "get_network:provider:network_type": ADMIN,
    "get_network:provider:physical_network": ADMIN,
    "get_network:provider:segmentation_id": ADMIN,
    "update_network": _ADMIN_OR_MEMBER,
    "update_network:shared": ADMIN,
    "update_network:router:external": ADMIN,
    "update_network:is_default": ADMIN,
    "update_network:port_security_enabled": _ADMIN_OR_MEMBER,
    "update_network:provider:network_type": ADMIN,
    "update_network:provider:physical_network": ADMIN,
    "update_network:provider:segmentation_id": ADMIN,
    "delete_network": _ADMIN_OR_MEMBER,
}

_SUBNET: Final = {
    "create_subnet": _any(ADMIN, _NETWORK_MEMBER),
    "create_subnet:service_types": ADMIN,
    "get_subnet": _any(_READER, "rule:shared", "rule:external_network", ADMIN, _NETWORK_READER, SERVICE),
    "update_subnet": _SUBNET_WRITER,
    "update_subnet:service_types": ADMIN,
    "delete_subnet": _SUBNET_WRITER,
}

_SUBNET_POOL: Final = {
    "create_subnetpool": _ADMIN_OR_MEMBER,
    "create_subnetpool:shared": ADMIN,
    "create_subnetpool:is_default": ADMIN,
    "get_subnetpool": _any(ADMIN, _READER, "rule:shared_subnetpools"),
    "update_subnetpool": _ADMIN_OR_MEMBER,
    "update_subnetpool:is_default": ADMIN,
    "delete_subnetpool": _ADMIN_OR_MEMBER,
    "add_prefixes": _ADMIN_OR_MEMBER,
    "remove_prefixes": _ADMIN_OR_MEMBER,
}

_PORT: Final = {
    "create_port": _any(ADMIN, SERVICE, _NETWORK_MEMBER, "rule:shared"),
    "create_port:device_id": _any(ADMIN, _MEMBER, SERVICE),
    "create_port:device_owner": _any("not rule:network_device", ADMIN, SERVICE, _NETWORK_MEMBER),
    "create_port:mac_address": _PORT_NETWORK_WRITER,
    "create_port:fixed_ips": _any(ADMIN, SERVICE, _NETWORK_MEMBER, "rule:shared"),
    "create_port:fixed_ips:ip_address": _PORT_NETWORK_WRITER,
    "create_port:fixed_ips:subnet_id": _any(ADMIN, SERVICE, _NETWORK_MEMBER, "rule:shared"),
    "create_port:port_security_enabled": _PORT_NETWORK_WRITER,
    "create_port:binding:host_id": _ADMIN_OR_SERVICE,
    "create_port:binding:profile": SERVICE,
    "create_port:binding:vnic_type": _any(ADMIN, _MEMBER, SERVICE),
    "create_port:allowed_address_pairs": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "create_port:allowed_address_pairs:mac_address": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "create_port:allowed_address_pairs:ip_address": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "get_port": _any(ADMIN, SERVICE, _NETWORK_READER, _READER),
    "get_port:binding:vif_type": _ADMIN_OR_SERVICE,
    "get_port:binding:vif_details": _ADMIN_OR_SERVICE,
    "get_port:binding:host_id": _ADMIN_OR_SERVICE,
    "get_port:binding:profile": _ADMIN_OR_SERVICE,
    "update_port": _PORT_WRITER,
    "update_port:device_id": _any(ADMIN, _MEMBER, SERVICE),
    "update_port:device_owner": _any("not rule:network_device", ADMIN, SERVICE, _NETWORK_MEMBER),
    "update_port:mac_address": _any(ADMIN, SERVICE, _NETWORK_MANAGER),
    "update_port:fixed_ips": _PORT_NETWORK_WRITER,
    "update_port:fixed_ips:ip_address": _PORT_NETWORK_WRITER,
    "update_port:fixed_ips:subnet_id": _any(ADMIN, SERVICE, _NETWORK_MEMBER, "rule:shared"),
    "update_port:port_security_enabled": _PORT_NETWORK_WRITER,
    "update_port:binding:host_id": _ADMIN_OR_SERVICE,
    "update_port:binding:profile": SERVICE,
    "update_port:binding:vnic_type": _PORT_WRITER,
    "update_port:allowed_address_pairs": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "update_port:allowed_address_pairs:mac_address": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "update_port:allowed_address_pairs:ip_address": _any(ADMIN, _NETWORK_MEMBER, SERVICE),
    "delete_port": _any(
        ADMIN,
        SERVICE,
        f"service_roles:service and ({_any(_NETWORK_MEMBER, _MEMBER)})",
        "not rule:compute_device and not rule:baremetal_device and not rule:manila_device"
        f" and ({_any(_NETWORK_MEMBER, _MEMBER)})",
    ),
}

_ROUTER: Final = {
    "create_router": _ADMIN_OR_MEMBER,
    "create_router:distributed": ADMIN,
    "create_router:ha": ADMIN,
    "create_router:external_gateway_info": _ADMIN_OR_MEMBER,
    "create_router:external_gateway_info:network_id": _ADMIN_OR_MEMBER,
    "create_router:external_gateway_info:enable_snat": ADMIN,
    "create_router:external_gateway_info:external_fixed_ips": ADMIN,
    "get_router": _ADMIN_OR_READER,
    "get_router:distributed": ADMIN,
    "get_router:ha": ADMIN,
    "update_router": _ADMIN_OR_MEMBER,
    "update_router:distributed": ADMIN,
    "update_router:ha": ADMIN,
    "update_router:external_gateway_info": _ADMIN_OR_MEMBER,
    "update_router:external_gateway_info:network_id": _ADMIN_OR_MEMBER,
    "update_router:external_gateway_info:enable_snat": ADMIN,
    "update_router:external_gateway_info:external_fixed_ips": ADMIN,
    "delete_router": _ADMIN_OR_MEMBER,
    "add_router_interface": _ADMIN_OR_MEMBER,
    "remove_router_interface": _ADMIN_OR_MEMBER,
    "add_extraroutes": _ADMIN_OR_MEMBER,
    "remove_extraroutes": _ADMIN_OR_MEMBER,
}

_FLOATING_IP: Final = {
    "create_floatingip": _ADMIN_OR_MEMBER,
    "create_floatingip:floating_ip_address": _ADMIN_OR_MANAGER,
    "get_floatingip": _ADMIN_OR_READER,
    "update_floatingip": _ADMIN_OR_MEMBER,
    "delete_floatingip": _ADMIN_OR_MEMBER,
}

_SECURITY_GROUP: Final = {
    "create_security_group": _ADMIN_OR_MEMBER,
    "get_security_group": _any(ADMIN, _READER, "rule:shared_security_group"),
    "update_security_group": _ADMIN_OR_MEMBER,
    "delete_security_group": _ADMIN_OR_MEMBER,
    "create_security_group_rule": _any(ADMIN, _GROUP_MEMBER),
    "get_security_group_rule": _any(ADMIN, _GROUP_READER),
    "delete_security_group_rule": _any(ADMIN, _GROUP_MEMBER),
}

_OTHERS: Final = {
    "get_quota": _ADMIN_OR_MANAGER,
    "update_quota": ADMIN,
    "delete_quota": ADMIN,
    "get_agent": ADMIN,
    "update_agent": ADMIN,
    "delete_agent": ADMIN,
    "get_availability_zone": "role:reader",
    "get_service_provider": "role:reader",
    "get_network_ip_availability": _ADMIN_OR_SERVICE,
}

_TAGGED: Final = {
    "network": (_ADMIN_OR_MEMBER, _any(ADMIN, _READER, "rule:shared", "rule:external")),
    "subnet": (
        _SUBNET_WRITER,
        _any(_READER, "rule:shared", "rule:external_network", ADMIN, _NETWORK_READER),
    ),
    "subnetpool": (_ADMIN_OR_MEMBER, _any(ADMIN, _READER, "rule:shared_subnetpools")),
    "port": (_ADMIN_OR_MEMBER, _any(ADMIN, _NETWORK_READER, _READER)),
    "router": (_ADMIN_OR_MEMBER, _ADMIN_OR_READER),
    "floatingip": (_ADMIN_OR_MEMBER, _ADMIN_OR_READER),
    "security_group": (_ADMIN_OR_MEMBER, _any(ADMIN, _READER, "rule:shared_security_group")),
}
"""Kinds with tags: who may change them, and who may see them."""


def _rules() -> Iterator[Rule]:
    for name, check in _HELPERS.items():
        yield Rule(name, check, scope_types=())
    for table in (_NETWORK, _SUBNET, _SUBNET_POOL, _PORT, _ROUTER, _FLOATING_IP, _SECURITY_GROUP, _OTHERS):
        for name, check in table.items():
            yield Rule(name, check, name.partition(":")[0].replace("_", " ").capitalize())
    for kind, (write, read) in _TAGGED.items():
        yield Rule(f"get_{kind}:tags", read, f"See the tags of a {kind}")
        for verb in ("create", "update", "delete"):
            yield Rule(f"{verb}_{kind}:tags", write, f"{verb.capitalize()} tags of a {kind}")


RULES: Final = tuple(_rules())
