"""OS-FEDERATION by noun."""

from pileus.services.identity.api.federation import auth, saml, websso
from pileus.services.identity.api.federation.identity_provider import IdentityProvider
from pileus.services.identity.api.federation.mapping import Mapping
from pileus.services.identity.api.federation.protocol import Protocol
from pileus.services.identity.api.federation.service_provider import ServiceProvider

RESOURCES = (IdentityProvider, Protocol, Mapping, ServiceProvider)
ROUTES = (auth.routes, saml.routes, websso.routes)
