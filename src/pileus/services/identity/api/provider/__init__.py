"""The endpoints of identity's own OpenID Connect provider."""

from pileus.services.identity.api.provider import authorize, discovery, token

ROUTES = (discovery.routes, authorize.routes, token.routes)
