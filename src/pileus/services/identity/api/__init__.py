"""The operations of identity, by noun."""

from pileus.services.identity.api import (
    auth,
    discovery,
    domain_config,
    ec2,
    endpoint_group,
    grant,
    limit,
    membership,
    oauth1,
    oauth2,
    password,
    policy,
    registered_limit,
    revocation,
    role_assignment,
    tag,
    trust,
)
from pileus.services.identity.api.access_token import AccessToken
from pileus.services.identity.api.application_credential import AccessRule, ApplicationCredential
from pileus.services.identity.api.catalog import Endpoint, Region, ServiceRecord
from pileus.services.identity.api.credential import Credential
from pileus.services.identity.api.domain import Domain
from pileus.services.identity.api.endpoint_group import EndpointGroup
from pileus.services.identity.api.federation import RESOURCES as FEDERATION_RESOURCES
from pileus.services.identity.api.federation import ROUTES as FEDERATION_ROUTES
from pileus.services.identity.api.group import Group
from pileus.services.identity.api.limit import Limit
from pileus.services.identity.api.oauth1 import Consumer
from pileus.services.identity.api.policy import Policy
from pileus.services.identity.api.project import Project
from pileus.services.identity.api.provider import ROUTES as PROVIDER_ROUTES
from pileus.services.identity.api.registered_limit import RegisteredLimit
from pileus.services.identity.api.role import Role, implied
from pileus.services.identity.api.trust import Trust
from pileus.services.identity.api.user import User

RESOURCES = (
    Domain,
    Project,
    User,
    Group,
    Role,
    Region,
    ServiceRecord,
    Endpoint,
    EndpointGroup,
    Policy,
    RegisteredLimit,
    Limit,
    ApplicationCredential,
    AccessRule,
    Trust,
    Credential,
    Consumer,
    AccessToken,
    *FEDERATION_RESOURCES,
)
ROUTES = (
    discovery.routes,
    discovery.root_routes,
    auth.routes,
    password.routes,
    membership.routes,
    implied,
    grant.routes,
    role_assignment.routes,
    tag.routes,
    endpoint_group.routes,
    policy.routes,
    registered_limit.routes,
    limit.routes,
    domain_config.routes,
    trust.routes,
    ec2.routes,
    oauth1.routes,
    oauth2.routes,
    revocation.routes,
    *FEDERATION_ROUTES,
    *PROVIDER_ROUTES,
)
