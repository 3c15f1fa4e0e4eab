"""What single domains are configured to be, by group and option; and the defaults of all that can be set."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.common import DEFAULT_DOMAIN
from pileus.services.identity.domain_options import DEFAULTS, is_option
from pileus.services.identity.store import domain_config, project

routes = Routes()
COMPLIANCE = "security_compliance"
_COMPLIANCE_SHOWN = ("password_regex", "password_regex_description")
_ALL = "/domains/{domain_id}/config"
_GROUP = f"{_ALL}/{{group}}"
_OPTION = f"{_GROUP}/{{option}}"


class ConfigBody(msgspec.Struct):
    """`config` holds groups of options; for a single option, the option itself."""

    config: Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class ConfigAnswer(msgspec.Struct):
    """Groups of options, or one group, or the option that the path names."""

    config: dict[str, Any]


def _refused(why: str) -> Forbidden:
    return Forbidden(f"Invalid domain specific configuration: {why}.")


def _check_names(group: str | None, option: str | None) -> None:
    if group is not None and group not in DEFAULTS:
        raise _refused(f"there is no group {group}; there are {', '.join(DEFAULTS)}")
    if group is not None and option is not None and not is_option(group, option):
        raise _refused(f"group {group} has no option {option}")


def _place(call: Call) -> tuple[str, str | None, str | None]:
    """The domain, group and option of the path, where group and option are some that can be set."""
    group, option = call.params.get("group"), call.params.get("option")
    _check_names(group, option)
    return call.params["domain_id"], group, option


def _check_domain(tx: Tx, domain_id: str) -> None:
    row = project.get(tx, domain_id)
    if row is None or not row.is_domain:
        raise NotFound(f"Could not find domain: {domain_id}.")


def _narrowed(
    config: domain_config.Config, domain_id: str, group: str | None, option: str | None
) -> dict[str, Any]:
    """What was set, of the group or the option alone where named; 404 where nothing was."""
    if group is None:
        if config:
            return dict(config)
        what = "any options"
    elif option is None:
        if group in config:
            return {group: config[group]}
        what = f"group {group}"
    else:
        if option in config.get(group, {}):
            return {option: config[group][option]}
        what = f"option {option} in group {group}"
    raise NotFound(f"Could not find {what} in domain configuration for domain {domain_id}.")


@routes.add("GET", _ALL, policy=AUTHENTICATED)
@routes.add("GET", _GROUP, policy=AUTHENTICATED)
@routes.add("GET", _OPTION, policy=AUTHENTICATED)
def show_config(call: Call, tx: Tx) -> ConfigAnswer:
    """What was set for a domain, but for secrets; all of it, of a group, or one option."""
    if call.params.get("group") == COMPLIANCE:
        call.enforce("identity:get_security_compliance_domain_config", {})
        return ConfigAnswer(_compliance(call, tx))
    call.enforce("identity:get_domain_config", {})
    domain_id, group, option = _place(call)
    _check_domain(tx, domain_id)
    return ConfigAnswer(_narrowed(domain_config.options(tx, domain_id), domain_id, group, option))


def _compliance(call: Call, tx: Tx) -> dict[str, Any]:
    """What users may know of the rules for passwords, which are the cloud's and shown for its default domain."""
    domain_id, option = call.params["domain_id"], call.params.get("option")
    _check_domain(tx, domain_id)
    if domain_id != DEFAULT_DOMAIN:
        raise _refused(f"rules for passwords are those of the whole cloud; ask for domain {DEFAULT_DOMAIN}")
    rules = call.runtime.state.settings.security_compliance
    shown = {name: getattr(rules, name) for name in _COMPLIANCE_SHOWN}
    if option is None:
        return {COMPLIANCE: shown}
    if option not in shown:
        raise _refused(f"of {COMPLIANCE}, {' and '.join(shown)} are shown")
    return {option: shown[option]}


@routes.add(
    "PUT",
    _ALL,
    policy="identity:create_domain_config",
    status=201,
    body=ConfigBody,
    answers=ConfigAnswer,
    also={200: ConfigAnswer},
)
def create_config(call: Call, tx: Tx, body: ConfigBody) -> Reply:
    """Sets options of a domain, instead of all that were set."""
    domain_id = call.params["domain_id"]
    _check_domain(tx, domain_id)
    config = _groups(body.config)
    existed = domain_id in domain_config.configured(tx)
    domain_config.remove(tx, domain_id)
    domain_config.put(tx, domain_id, config)
    tx.after_commit(call.runtime.state.directories.wake)
    return Reply.json(ConfigAnswer(domain_config.options(tx, domain_id)), 200 if existed else 201)


def _groups(config: dict[str, Any]) -> domain_config.Config:
    for group, values in config.items():
        if not isinstance(values, dict) or not values:
            raise _refused(f"group {group} must hold options")
        _check_names(group, None)
        for option in values:
            _check_names(group, option)
    return config


@routes.add("PATCH", _ALL, policy="identity:update_domain_config", body=ConfigBody)
@routes.add("PATCH", _GROUP, policy="identity:update_domain_config", body=ConfigBody)
@routes.add("PATCH", _OPTION, policy="identity:update_domain_config", body=ConfigBody)
def update_config(call: Call, tx: Tx, body: ConfigBody) -> ConfigAnswer:
    """Changes options of a domain: of all groups, of one, or one option. Others stay as they are."""
    domain_id, group, option = _place(call)
    _check_domain(tx, domain_id)
    if group is not None and option is not None:
        if set(body.config) != {option}:
            raise _refused(f"the body must hold just the option {option}")
        config: domain_config.Config = {group: body.config}
    else:
        config = _groups(body.config)
        if group is not None and set(config) != {group}:
            raise _refused(f"the body must hold just the group {group}")
    if group is not None:
        _narrowed(domain_config.working_options(tx, domain_id), domain_id, group, option)
    domain_config.put(tx, domain_id, config)
    tx.after_commit(call.runtime.state.directories.wake)
    return ConfigAnswer(domain_config.options(tx, domain_id))


@routes.add("DELETE", _ALL, policy="identity:delete_domain_config", status=204)
@routes.add("DELETE", _GROUP, policy="identity:delete_domain_config", status=204)
@routes.add("DELETE", _OPTION, policy="identity:delete_domain_config", status=204)
def delete_config(call: Call, tx: Tx) -> None:
    """Takes back what was set for a domain: all, a group or an option. The defaults hold again."""
    domain_id, group, option = _place(call)
    _check_domain(tx, domain_id)
    if group is not None:
        _narrowed(domain_config.working_options(tx, domain_id), domain_id, group, option)
    domain_config.remove(tx, domain_id, group, option)
    tx.after_commit(call.runtime.state.directories.wake)


@routes.add("GET", "/domains/config/default", policy="identity:get_domain_config_default")
@routes.add("GET", "/domains/config/{group}/default", policy="identity:get_domain_config_default")
@routes.add("GET", "/domains/config/{group}/{option}/default", policy="identity:get_domain_config_default")
def show_defaults(call: Call, tx: Tx) -> ConfigAnswer:
    """What holds where nothing was set: of all groups, of one, or of one option."""
    group, option = call.params.get("group"), call.params.get("option")
    _check_names(group, None)
    if group is None:
        return ConfigAnswer(dict(DEFAULTS))
    if option is None:
        return ConfigAnswer({group: DEFAULTS[group]})
    if option not in DEFAULTS[group]:
        raise _refused(f"group {group} shows no option {option}")
    return ConfigAnswer({option: DEFAULTS[group][option]})
