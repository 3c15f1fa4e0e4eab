"""The rules of placement: upstream's names and defaults (Placement's policy reference)."""

from __future__ import annotations

from pileus.kernel.policy.rule import Rule

_ADMIN_OR_SERVICE = "rule:admin_or_service_api"
_PROVIDER = "/resource_providers/{uuid}"

CREATE_PROVIDER = "placement:resource_providers:create"
LIST_PROVIDERS = "placement:resource_providers:list"
SHOW_PROVIDER = "placement:resource_providers:show"
UPDATE_PROVIDER = "placement:resource_providers:update"
DELETE_PROVIDER = "placement:resource_providers:delete"
CREATE_INVENTORY = "placement:resource_providers:inventories:create"
LIST_INVENTORIES = "placement:resource_providers:inventories:list"
SHOW_INVENTORY = "placement:resource_providers:inventories:show"
UPDATE_INVENTORIES = "placement:resource_providers:inventories:update"
DELETE_INVENTORIES = "placement:resource_providers:inventories:delete"
LIST_AGGREGATES = "placement:resource_providers:aggregates:list"
UPDATE_AGGREGATES = "placement:resource_providers:aggregates:update"
LIST_PROVIDER_TRAITS = "placement:resource_providers:traits:list"
UPDATE_PROVIDER_TRAITS = "placement:resource_providers:traits:update"
DELETE_PROVIDER_TRAITS = "placement:resource_providers:traits:delete"
PROVIDER_ALLOCATIONS = "placement:resource_providers:allocations:list"
PROVIDER_USAGES = "placement:resource_providers:usages"
LIST_TRAITS = "placement:traits:list"
SHOW_TRAIT = "placement:traits:show"
UPDATE_TRAIT = "placement:traits:update"
DELETE_TRAIT = "placement:traits:delete"
LIST_CLASSES = "placement:resource_classes:list"
CREATE_CLASS = "placement:resource_classes:create"
SHOW_CLASS = "placement:resource_classes:show"
UPDATE_CLASS = "placement:resource_classes:update"
DELETE_CLASS = "placement:resource_classes:delete"
MANAGE_ALLOCATIONS = "placement:allocations:manage"
LIST_ALLOCATIONS = "placement:allocations:list"
UPDATE_ALLOCATIONS = "placement:allocations:update"
DELETE_ALLOCATIONS = "placement:allocations:delete"
LIST_CANDIDATES = "placement:allocation_candidates:list"
RESHAPE = "placement:reshaper:reshape"
USAGES = "placement:usages"

_OPERATIONS = {
    CREATE_PROVIDER: ("POST", "/resource_providers"),
    LIST_PROVIDERS: ("GET", "/resource_providers"),
    SHOW_PROVIDER: ("GET", _PROVIDER),
    UPDATE_PROVIDER: ("PUT", _PROVIDER),
    DELETE_PROVIDER: ("DELETE", _PROVIDER),
    CREATE_INVENTORY: ("POST", f"{_PROVIDER}/inventories"),
    LIST_INVENTORIES: ("GET", f"{_PROVIDER}/inventories"),
    SHOW_INVENTORY: ("GET", f"{_PROVIDER}/inventories/{{resource_class}}"),
    UPDATE_INVENTORIES: ("PUT", f"{_PROVIDER}/inventories"),
    DELETE_INVENTORIES: ("DELETE", f"{_PROVIDER}/inventories"),
    LIST_AGGREGATES: ("GET", f"{_PROVIDER}/aggregates"),
    UPDATE_AGGREGATES: ("PUT", f"{_PROVIDER}/aggregates"),
    LIST_PROVIDER_TRAITS: ("GET", f"{_PROVIDER}/traits"),
    UPDATE_PROVIDER_TRAITS: ("PUT", f"{_PROVIDER}/traits"),
    DELETE_PROVIDER_TRAITS: ("DELETE", f"{_PROVIDER}/traits"),
    PROVIDER_ALLOCATIONS: ("GET", f"{_PROVIDER}/allocations"),
    PROVIDER_USAGES: ("GET", f"{_PROVIDER}/usages"),
    LIST_TRAITS: ("GET", "/traits"),
    SHOW_TRAIT: ("GET", "/traits/{name}"),
    UPDATE_TRAIT: ("PUT", "/traits/{name}"),
    DELETE_TRAIT: ("DELETE", "/traits/{name}"),
    LIST_CLASSES: ("GET", "/resource_classes"),
    CREATE_CLASS: ("POST", "/resource_classes"),
    SHOW_CLASS: ("GET", "/resource_classes/{name}"),
    UPDATE_CLASS: ("PUT", "/resource_classes/{name}"),
    DELETE_CLASS: ("DELETE", "/resource_classes/{name}"),
    MANAGE_ALLOCATIONS: ("POST", "/allocations"),
    LIST_ALLOCATIONS: ("GET", "/allocations/{consumer_uuid}"),
    UPDATE_ALLOCATIONS: ("PUT", "/allocations/{consumer_uuid}"),
    DELETE_ALLOCATIONS: ("DELETE", "/allocations/{consumer_uuid}"),
    LIST_CANDIDATES: ("GET", "/allocation_candidates"),
}

RULES: tuple[Rule, ...] = (
    Rule("admin_api", "role:admin", "Administrators.", scope_types=()),
    Rule("service_api", "role:service", "Services of the cloud."),
    Rule("admin_or_service_api", "role:admin or role:service", "Administrators, or services of the cloud."),
    Rule(
        "project_reader_api",
        "role:reader and project_id:%(project_id)s",
        "Readers of the project.",
        scope_types=(),
    ),
    Rule(
        "admin_or_project_reader_or_service_api",
        "role:admin or rule:project_reader_api or role:service",
        "Administrators, readers of the project, or services of the cloud.",
    ),
    *(Rule(name, _ADMIN_OR_SERVICE, operations=(operation,)) for name, operation in _OPERATIONS.items()),
    Rule(RESHAPE, "rule:service_api", operations=(("POST", "/reshaper"),)),
    Rule(USAGES, "rule:admin_or_project_reader_or_service_api", operations=(("GET", "/usages"),)),
)
