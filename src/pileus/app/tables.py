"""Imports every module that declares tables, so that the schema is whole."""

from pileus.kernel.api import idempotency, quota
from pileus.kernel.db import signal
from pileus.kernel.events import model as events
from pileus.kernel.work import model as work
from pileus.services.compute import model as compute
from pileus.services.identity import catalog_model, domain_config_model, limit_model
from pileus.services.identity import delegation_model as delegation
from pileus.services.identity import model as identity
from pileus.services.identity.federation import model as federation
from pileus.services.identity.ldap import model as ldap
from pileus.services.identity.provider import model as provider
from pileus.services.identity.saml import model as saml
from pileus.services.image import model as image
from pileus.services.image.metadef import model as image_metadef
from pileus.services.network import model as network
from pileus.services.placement import model as placement

TABLES_OF = (
    signal,
    idempotency,
    quota,
    events,
    work,
    identity,
    federation,
    provider,
    ldap,
    saml,
    catalog_model,
    limit_model,
    domain_config_model,
    delegation,
    image,
    image_metadef,
    placement,
    network,
    compute,
)
