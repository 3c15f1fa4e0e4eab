"""The operations of identity, by noun."""

from pileus.services.identity.api import auth, discovery, grant, membership, role_assignment, tag
from pileus.services.identity.api.catalog import Endpoint, Region, ServiceRecord
from pileus.services.identity.api.domain import Domain
from pileus.services.identity.api.federation import RESOURCES as FEDERATION_RESOURCES
from pileus.services.identity.api.federation import ROUTES as FEDERATION_ROUTES
from pileus.services.identity.api.group import Group
from pileus.services.identity.api.project import Project
from pileus.services.identity.api.provider import ROUTES as PROVIDER_ROUTES
from pileus.services.identity.api.role import Role, implied
from pileus.services.identity.api.user import User

RESOURCES = (Domain, Project, User, Group, Role, Region, ServiceRecord, Endpoint, *FEDERATION_RESOURCES)
ROUTES = (
    discovery.routes,
    discovery.root_routes,
    auth.routes,
    membership.routes,
    implied,
    grant.routes,
    role_assignment.routes,
    tag.routes,
    *FEDERATION_ROUTES,
    *PROVIDER_ROUTES,
)
