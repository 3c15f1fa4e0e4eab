"""The rules of images: upstream's names and defaults (Glance's policy reference)."""

from __future__ import annotations

from pileus.kernel.policy.rule import Rule

_ADMIN = "rule:context_is_admin"
_MEMBER = f"{_ADMIN} or (role:member and project_id:%(project_id)s)"
_READER = f"{_ADMIN} or (role:reader and project_id:%(project_id)s)"
_WHO_SEES = (
    "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s "
    "or 'public':%(visibility)s or 'shared':%(visibility)s)"
)
_SHARED_WITH = "role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"

RULES: tuple[Rule, ...] = (
    Rule("context_is_admin", "role:admin", "Who counts as an administrator of images.", scope_types=()),
    Rule("service_api", "role:service or role:admin", "Services of the cloud.", scope_types=()),
    Rule("default", "", "Kept for policy files that name it.", scope_types=()),
    *(
        Rule(name, "rule:default", "Kept for policy files that name it: tasks_api_access decides.")
        for name in ("get_task", "get_tasks", "add_task", "modify_task")
    ),
    Rule("metadef_default", "", "Kept for policy files that name it.", scope_types=()),
    Rule("metadef_admin", _ADMIN, "Who changes metadata definitions.", scope_types=()),
    *(
        Rule(name, check)
        for name, check in {
            "add_image": f"{_ADMIN} or (role:member and project_id:%(project_id)s and project_id:%(owner)s)",
            "get_image": f"{_ADMIN} or (role:reader and {_WHO_SEES})",
            "get_images": _READER,
            "modify_image": _MEMBER,
            "delete_image": _MEMBER,
            "publicize_image": _ADMIN,
            "communitize_image": _MEMBER,
            "download_image": f"{_ADMIN} or (role:member and {_WHO_SEES})",
            "upload_image": _MEMBER,
            "deactivate": _MEMBER,
            "reactivate": _MEMBER,
            "add_member": _MEMBER,
            "delete_member": _MEMBER,
            "get_member": f"{_ADMIN} or {_SHARED_WITH}",
            "get_members": f"{_ADMIN} or {_SHARED_WITH}",
            "delete_image_location": _ADMIN,
            "get_image_location": _READER,
            "set_image_location": _MEMBER,
            "add_image_location": (
                "rule:service_api or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
            ),
            "fetch_image_location": "rule:service_api",
            "download_from_store": f"{_ADMIN} or (role:member and {_WHO_SEES})",
            "copy_image": _ADMIN,
            "manage_image_cache": _ADMIN,
            "cache_image": _ADMIN,
            "cache_list": _ADMIN,
            "cache_delete": _ADMIN,
            "cache_clean": _ADMIN,
            "cache_prune": _ADMIN,
            "list_cached_nodes": _ADMIN,
            "stores_info_detail": f"{_ADMIN} or rule:service_api",
            "tasks_api_access": _ADMIN,
            **dict.fromkeys(
                (
                    "get_metadef_namespace",
                    "get_metadef_object",
                    "get_metadef_objects",
                    "list_metadef_resource_types",
                    "get_metadef_resource_type",
                    "get_metadef_property",
                    "get_metadef_properties",
                    "get_metadef_tag",
                    "get_metadef_tags",
                ),
                f"{_ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))",
            ),
            "get_metadef_namespaces": _READER,
            **dict.fromkeys(
                (
                    "modify_metadef_namespace",
                    "add_metadef_namespace",
                    "delete_metadef_namespace",
                    "modify_metadef_object",
                    "add_metadef_object",
                    "delete_metadef_object",
                    "add_metadef_resource_type_association",
                    "remove_metadef_resource_type_association",
                    "modify_metadef_property",
                    "add_metadef_property",
                    "remove_metadef_property",
                    "modify_metadef_tag",
                    "add_metadef_tag",
                    "add_metadef_tags",
                    "delete_metadef_tag",
                    "delete_metadef_tags",
                ),
                "rule:metadef_admin",
            ),
            "modify_member": f"{_ADMIN} or (role:member and project_id:%(member_id)s)",
        }.items()
    ),
)
