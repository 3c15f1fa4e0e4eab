"""Where requested resources would fit: Placement's search of allocation candidates, without its database."""

from pileus.lib.placement.model import (
    SHARES_VIA_AGGREGATE,
    Candidate,
    Group,
    Inventory,
    Provider,
    Providers,
    Request,
)
from pileus.lib.placement.search import related_providers, search
from pileus.lib.placement.shortage import explain_shortage, quantity

__all__ = [
    "SHARES_VIA_AGGREGATE",
    "Candidate",
    "Group",
    "Inventory",
    "Provider",
    "Providers",
    "Request",
    "explain_shortage",
    "quantity",
    "related_providers",
    "search",
]
