"""What stands beside the API: which sites' Flash may use it (Swift's documentation, "Cross-domain policy file")."""

from __future__ import annotations

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.api.listing import XML
from pileus.services.object_store.state import ObjectStoreState

routes = Routes(base="")
_HEAD = (
    '<?xml version="1.0"?>\n'
    '<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >\n'
)


@routes.add("GET", "/crossdomain.xml", policy=ANYONE, answers=XML)
async def cross_domain(call: Call) -> Reply:
    """The policy file, as it is set."""
    state: ObjectStoreState = call.runtime.state
    text = f"{_HEAD}<cross-domain-policy>\n{state.settings.cross_domain_policy}\n</cross-domain-policy>"
    return Reply(200, text.encode(), {"content-type": XML.type})
