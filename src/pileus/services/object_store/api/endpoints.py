"""Which storage nodes hold something (Swift's documentation, "List endpoints"). For programs inside of the cluster: they
are asked nothing about who they are, so the operator opens it."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.lib.ring.device import Device
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

routes = Routes(base="")
_VERSIONS = {1.0, 2.0}


class Endpoints(msgspec.Struct):
    endpoints: list[str]
    headers: dict[str, str]


@routes.add("GET", "/endpoints/{path:path}", policy=ANYONE, answers=(list[str], Endpoints))
async def list_endpoints(call: Call) -> Reply:
    """Addresses by the rings: a list in format 1, and in format 2 with headers that a request there needs."""
    state: ObjectStoreState = call.runtime.state
    if state.rings is None or not state.settings.list_endpoints:
        raise NotFound("The resource could not be found.")
    version, name = _parse(call.path.removeprefix("/endpoints/"))
    rings = state.rings()
    headers: dict[str, str] = {}
    ring = rings.lists
    if name.object:
        info = await state.container(name.account, name.container)
        policy = state.policies.default.index if info is None else info.policy
        headers["X-Backend-Storage-Policy-Index"] = str(policy)
        ring = rings.objects[policy]
    partition, devices = ring.lookup(name.path)
    found = [f"{_place(each)}/{partition}/{quote(name.path)}" for each in devices]
    return Reply.json(found if version == 1.0 else Endpoints(found, headers))


def _place(device: Device) -> str:
    ip = f"[{device.ip}]" if ":" in device.ip else device.ip
    return f"http://{ip}:{device.port}/{device.device}"


def _parse(path: str) -> tuple[float, Name]:
    """Format and name; 400 where there is no account, or no such format."""
    first, _, rest = path.partition("/")
    version = 1.0
    try:
        version = float(first.lstrip("v"))
    except ValueError:
        if first.startswith("v") and "_" not in first:
            raise BadRequest(f"Unsupported version {first!r}") from None
        rest = path
    else:
        if version not in _VERSIONS:
            raise BadRequest(f"Unsupported version {first!r}")
    account, _, rest = rest.partition("/")
    container, _, name = rest.partition("/")
    if not account or (name and not container):
        raise BadRequest("No account specified")
    return version, Name(account, container, name)
