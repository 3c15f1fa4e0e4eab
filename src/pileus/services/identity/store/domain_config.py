"""What single domains are configured to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.domain_config_model import domain_options
from pileus.services.identity.domain_options import is_sensitive

Config = dict[str, dict[str, Any]]
"""Values by group and option."""

_OF_DOMAIN = (
    select(domain_options)
    .where(domain_options.c.domain_id == bindparam("domain_id"))
    .order_by(domain_options.c.group_name, domain_options.c.option_name)
)
_CONFIGURED = select(domain_options.c.domain_id).distinct()


def options(tx: Tx, domain_id: str) -> Config:
    """What was set for a domain, without secrets."""
    return _options(tx, domain_id, with_sensitive=False)


def working_options(tx: Tx, domain_id: str) -> Config:
    """The same for who works with it: secrets among it, and put in where other options refer to them, as in
    `ldap://admin:%(password)s@host`."""
    found = _options(tx, domain_id, with_sensitive=True)
    for group, values in found.items():
        secrets = {name: value for name, value in values.items() if is_sensitive(group, name)}
        for name, value in values.items():
            if name not in secrets and isinstance(value, str):
                for secret, text in secrets.items():
                    value = value.replace(f"%({secret})s", str(text))
                values[name] = value
    return found


def _options(tx: Tx, domain_id: str, *, with_sensitive: bool) -> Config:
    found: Config = {}
    for row in tx.rows(_OF_DOMAIN, domain_id=domain_id):
        if with_sensitive or not row.sensitive:
            found.setdefault(row.group_name, {})[row.option_name] = row.value
    return found


def configured(tx: Tx) -> list[str]:
    """The domains for which anything was set."""
    return list(tx.scalars(_CONFIGURED))


def put(tx: Tx, domain_id: str, config: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets these options; others stay as they are."""
    for group, values in config.items():
        for option, value in values.items():
            remove(tx, domain_id, group, option)
            tx.execute(
                domain_options.insert(),
                {
                    "domain_id": domain_id,
                    "group_name": group,
                    "option_name": option,
                    "value": value,
                    "sensitive": is_sensitive(group, option),
                },
            )


def remove(tx: Tx, domain_id: str, group: str | None = None, option: str | None = None) -> None:
    """Drops all that was set, or what was in a group, or one option."""
    columns = domain_options.c
    gone = domain_options.delete().where(columns.domain_id == domain_id)
    if group is not None:
        gone = gone.where(columns.group_name == group)
    if option is not None:
        gone = gone.where(columns.option_name == option)
    tx.execute(gone)
