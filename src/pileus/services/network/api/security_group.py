"""Security groups and their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.listing import listing
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.network.api.standard import Standard, enforce_attributes, given
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain import security_rule as domain
from pileus.services.network.events import announce
from pileus.services.network.model import security_group_rules, security_groups
from pileus.services.network.store import rows
from pileus.services.network.store import security_groups as store
from pileus.services.network.work.security_group import SecurityGroupProgram

DEFAULT: Final = "default"
GROUP_COSTS: Final = {"security_group": 1, "security_group_rule": 2}
"""A new group has rules that let everything out."""
_OWN_GROUPS = security_groups.c.project_id == bindparam("visible_project_id")
_OWN_RULES = security_group_rules.c.project_id == bindparam("visible_project_id")


class Rule(
    Standard, member="security_group_rule", collection="security_group_rules", table=security_group_rules,
    path="/security-group-rules", kind="SecurityGroupRule",
):  # fmt: skip
    kind_name = "security_group_rule"

    security_group_id: str = field(create, filter, sort, required=True)
    direction: Literal["ingress", "egress"] = field(create, filter, sort, required=True)
    ethertype: str = field(create, filter, sort, default="IPv4")
    protocol: str | int | None = field(create, filter, sort, default=None)
    port_range_min: int | None = field(create, filter, sort, default=None)
    port_range_max: int | None = field(create, filter, sort, default=None)
    remote_ip_prefix: str | None = field(create, filter, sort, default=None)
    remote_group_id: str | None = field(create, filter, sort, default=None)
    normalized_cidr: str | None = field(render=lambda call, row: domain.normalized(row.remote_ip_prefix))

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _OWN_RULES, {"visible_project_id": project_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {**super().target(row), "security_group:project_id": row.project_id}

    @classmethod
    def target_of_new(cls, call: Call, tx: Tx, body: Any) -> dict[str, Any]:
        group = SecurityGroup.load_again(call, tx, body.security_group_id)
        call.gathered[group.id] = group
        return {**super().target_of_new(call, tx, body), "security_group:project_id": group.project_id}


def _shown_rules(call: Call, row: Row[Any]) -> list[dict[str, Any]]:
    show = call.gathered["show_rule"]
    return [show(each) for each in call.gathered["rules"].get(row.id, [])]


class SecurityGroup(
    Tagged,
    member="security_group",
    collection="security_groups",
    table=security_groups,
    path="/security-groups",
):
    kind_name = "security_group"
    filters = tag_filters(security_groups)

    name: Text255 = field(create, update, filter, sort, default="")
    stateful: bool = field(create, update, filter, sort, default=True)
    shared: bool = field(read_only, filter)
    security_group_rules: list[dict[str, Any]] = field(render=_shown_rules, shows=[Rule])

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _OWN_GROUPS, {"visible_project_id": project_id}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["rules"] = store.rules_of(tx, [row.id for row in rows])
        call.gathered["show_rule"] = Rule.view(call, whole=True)


def ensure_default_group(call: Call, tx: Tx, project_id: str) -> str:
    """The project's default group: egress to everywhere, ingress from its own members alone. Made on first
    need."""
    found = store.default_group(tx, project_id)
    if found is not None:
        return found
    group = _add_group(
        call,
        tx,
        {
            "project_id": project_id,
            "name": DEFAULT,
            "description": "Default security group",
            "stateful": True,
        },
    )
    members = [
        _rule_row(tx, group, "ingress", family, remote_group_id=group.id) for family in ("IPv4", "IPv6")
    ]
    store.add_rules(tx, members)
    return str(group.id)


def _add_group(call: Call, tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """A group that lets everything out."""
    is_default = values["name"] == DEFAULT
    group = rows.add(
        tx,
        security_groups,
        {
            **values,
            "shared": False,
            "realized": False,
            "default_of": values["project_id"] if is_default else None,
        },
    )
    store.add_rules(tx, [_rule_row(tx, group, "egress", family) for family in ("IPv4", "IPv6")])
    call.runtime.work.begin(tx, SecurityGroupProgram, group.id, request_id=call.request_id)
    return group


def _rule_row(tx: Tx, group: Row[Any], direction: str, ethertype: str, **more: Any) -> dict[str, Any]:
    row = {
        "id": new_uuid(),
        "project_id": group.project_id,
        "security_group_id": group.id,
        "description": "",
        "revision_number": 0,
        "created_at": tx.now,
        "updated_at": tx.now,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        **more,
    }
    return {**row, "identity": domain.identity(row)}


@SecurityGroup.create(policy="create_security_group", status=201, quota=GROUP_COSTS)
def create_group(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a security group."""
    project_id = owner_project(call, body)
    ensure_default_group(call, tx, project_id)
    if body.name.strip().lower() == DEFAULT:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
    group = _add_group(call, tx, {"project_id": project_id, **given(body, "name", "description", "stateful")})
    announce(call, tx, SecurityGroup, "create", group)
    return group


@SecurityGroup.update(policy="update_security_group")
def update_group(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a security group."""
    enforce_attributes(call, "update_security_group", body, SecurityGroup.target(row))
    values = given(body, "name", "description", "stateful")
    if (row.default_of is not None) != (values.get("name", row.name) == DEFAULT):
        raise Conflict(
            "The name default belongs to each project's default security group alone, and stays with it.",
            kind="SecurityGroupCannotUpdateDefault",
        )
    if (
        values.get("stateful", row.stateful) != row.stateful
        and (port_id := store.a_member(tx, row.id)) is not None
    ):
        raise Conflict(
            f"Security Group {row.id} cannot change its stateful attribute while port {port_id} is in it.",
            kind="SecurityGroupInUse",
        )
    if values:
        rows.change(tx, security_groups, row.id, **values)
        call.runtime.work.wake(tx, row.id, request_id=call.request_id)
        row = SecurityGroup.load_again(call, tx, row.id)
        announce(call, tx, SecurityGroup, "update", row)
    return row


@SecurityGroup.delete(policy="delete_security_group")
def delete_group(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a security group and its rules; no port may be in it."""
    if row.default_of is not None and not call.context.is_admin:
        raise Conflict(
            "Insufficient rights for removing default security group.",
            kind="SecurityGroupCannotRemoveDefault",
        )
    if (port_id := store.a_member(tx, row.id)) is not None:
        raise Conflict(
            f"Security Group {row.id} in use by port {port_id}. Take it off its ports first.",
            kind="SecurityGroupInUse",
        )
    for rule in store.rules_about(tx, row.id):
        _drop_rule(call, tx, rule.id, rule.security_group_id)
    store.remove(tx, row.id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)
    announce(call, tx, SecurityGroup, "delete", row)


SecurityGroup.show(policy="get_security_group")


@SecurityGroup.list(policy="get_security_group")
async def list_groups(call: Call) -> dict[str, Any]:
    """Lists security groups; a project that looks for the first time gets its default one."""
    project_id = call.context.project_id
    if project_id and await call.runtime.db.read(store.default_group, project_id) is None:
        await call.runtime.db.write(lambda tx: ensure_default_group(call, tx, project_id))
    return await call.runtime.db.scan(lambda tx: listing(call, tx, SecurityGroup))


declare_tags(SecurityGroup)


@Rule.create(policy="create_security_group_rule", status=201, quota={"security_group_rule": 1})
def create_rule(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Lets something through."""
    group = call.gathered[body.security_group_id]
    ethertype = domain.canonical_ethertype(body.ethertype)
    protocol = domain.canonical_protocol(None if body.protocol is None else str(body.protocol))
    domain.check_protocol_family(protocol, ethertype)
    domain.check_ports(protocol, body.port_range_min, body.port_range_max)
    if body.remote_ip_prefix is not None and body.remote_group_id is not None:
        raise BadRequest(
            "Only remote_ip_prefix or remote_group_id may be provided, not both.",
            kind="SecurityGroupMultipleRemoteEntites",
        )
    if body.remote_group_id is not None:
        _require_group(call, tx, body.remote_group_id)
    row = _rule_row(
        tx,
        group,
        body.direction,
        ethertype,
        description=body.description,
        protocol=protocol,
        port_range_min=body.port_range_min,
        port_range_max=body.port_range_max,
        remote_ip_prefix=domain.canonical_prefix(body.remote_ip_prefix, ethertype),
        remote_group_id=body.remote_group_id,
    )
    if (same := store.same_rule(tx, group.id, row["identity"])) is not None:
        raise Conflict(
            f"Security group rule already exists. Rule id is {same}.", kind="SecurityGroupRuleExists"
        )
    made = rows.add(tx, security_group_rules, row)
    _group_changed(call, tx, group.id)
    announce(call, tx, Rule, "create", made)
    return made


@Rule.delete(policy="delete_security_group_rule")
def delete_rule(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Lets it through no more."""
    _drop_rule(call, tx, row.id, row.security_group_id)
    announce(call, tx, Rule, "delete", row)


Rule.show(policy="get_security_group_rule")
Rule.list(policy="get_security_group")


def _drop_rule(call: Call, tx: Tx, rule_id: str, group_id: str) -> None:
    rows.remove(tx, security_group_rules, rule_id)
    _group_changed(call, tx, group_id)


def _group_changed(call: Call, tx: Tx, group_id: str) -> None:
    rows.change(tx, security_groups, group_id)
    call.runtime.work.wake(tx, group_id, request_id=call.request_id)


def _require_group(call: Call, tx: Tx, group_id: str) -> None:
    try:
        SecurityGroup.load_again(call, tx, group_id)
    except NotFound as error:
        raise NotFound(f"Security group {group_id} does not exist", kind="SecurityGroupNotFound") from error
