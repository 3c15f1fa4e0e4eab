"""The metadata service: what a guest learns of itself at 169.254.169.254, in OpenStack's and EC2's formats.

An ASGI application for the network engine's listeners: `scope["state"]["network_id"]` says on which network
the guest asked, `scope["client"]` from which address. The two name a port, unless the engine knows it already
(`port_id`); the port names a server.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Receive, Scope, Send
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, Conflict, MethodNotAllowed, NotFound
from pileus.services.compute import metadata_content as content
from pileus.services.compute.needs import SERVICE, Networks
from pileus.services.compute.state import ComputeState
from pileus.services.compute.store import server as store

KEPT_SECONDS = 15.0
"""How long it is remembered which server asks from an address; an address may go to another one."""
MOST_KEPT = 10_000
MOST_PASSWORD_BYTES = 1020
_encode = msgspec.json.Encoder().encode
_FILES = {
    "meta_data.json": "",
    "user_data": "",
    "password": "2013-04-04",
    "vendor_data.json": content.VENDOR_DATA_SINCE,
    "network_data.json": content.NETWORK_DATA_SINCE,
    "vendor_data2.json": content.VENDOR_DATA2_SINCE,
}
"""OpenStack's files, with the version that brought each."""


class MetadataService:
    def __init__(self, state: ComputeState, networks: Networks) -> None:
        self._state, self._networks = state, networks
        self._servers: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body, kind = await self._answer(scope, receive)
            status = 200
        except ApiError as error:
            status, body, kind = error.status, error.message.encode() + b"\n", "text/plain"
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[bytes, str]:
        path = [part for part in scope["path"].split("/") if part]
        if not path:
            return _lines([*content.EC2_VERSIONS, "latest"])
        row = await self._server(scope)
        if scope["method"] == "POST":
            if len(path) == 3 and path[0] == "openstack" and path[2] == "password":
                await self._keep_password(row, await _body(receive))
                return b"", "text/plain"
            raise MethodNotAllowed("Only a password can be given to the metadata service.")
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("The metadata service knows GET and POST.")
        if path[0] == "openstack":
            return await self._openstack(row, path[1:])
        return _ec2(row, path)

    async def _server(self, scope: Scope) -> Row[Any]:
        network_id = scope["state"]["network_id"]
        port_id = scope["state"].get("port_id")
        address = scope["client"][0].partition("%")[0]
        query = {"id": port_id} if port_id else {"network_id": network_id, **_port_query(address)}
        server_id = await self._server_at((network_id, port_id or address), query)
        row = await self._state.db.read(store.find, server_id)
        if row is None or row.deleted_at is not None:
            self._servers.pop((network_id, port_id or address), None)
            raise NotFound("There is no server at this address.")
        return row

    async def _server_at(self, place: tuple[str, str], query: Mapping[str, str]) -> str:
        now = self._state.clock.monotonic()
        kept = self._servers.get(place)
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        ports = await self._networks.ports(SERVICE, **query)
        servers = {port["device_id"] for port in ports if port["device_owner"].startswith("compute:")}
        if len(servers) != 1:
            raise NotFound("There is no server at this address.")
        server_id: str = servers.pop()
        self._servers[place] = (now, server_id)
        if len(self._servers) > MOST_KEPT:
            self._servers.popitem(last=False)
        return server_id

    async def _openstack(self, row: Row[Any], path: list[str]) -> tuple[bytes, str]:
        if not path:
            return _lines([*content.OPENSTACK_VERSIONS, "latest"])
        if path[0] == "content" and len(path) == 2:
            found = content.content(row, int(path[1])) if path[1].isdigit() and len(path[1]) < 6 else None
            return _found(found), "application/octet-stream"
        version = path[0]
        if version not in content.OPENSTACK_VERSIONS and version != "latest":
            raise NotFound(f"There is no version {version}.")
        if len(path) == 1:
            names = [name for name, since in _FILES.items() if version >= since]
            return _lines([name for name in names if name != "user_data" or row.user_data is not None])
        if len(path) != 2 or path[1] not in _FILES or version < _FILES[path[1]]:
            raise NotFound("There is nothing here.")
        return await self._file(row, path[1])

    async def _file(self, row: Row[Any], name: str) -> tuple[bytes, str]:
        match name:
            case "meta_data.json":
                return _encode(content.meta_data(row, row.nics)), "application/json"
            case "network_data.json":
                subnets = await content.subnets_of(row.nics, self._networks)
                return _encode(content.network_data(row.nics, subnets)), "application/json"
            case "user_data":
                return _found(content.user_data(row)), "application/octet-stream"
            case "password":
                return (row.password or "").encode(), "text/plain"
            case _:
                return b"{}", "application/json"

    async def _keep_password(self, row: Row[Any], password: bytes) -> None:
        try:
            text = password.decode("ascii")
        except UnicodeDecodeError as error:
            raise BadRequest("The password must be encrypted and in Base64.") from error
        await self._state.db.write(_set_password, row.id, text)


def _set_password(tx: Tx, server_id: str, password: str) -> None:
    if store.get(tx, server_id).password:
        raise Conflict("There is a password already.")
    store.update(tx, server_id, password=password)


def _port_query(address: str) -> Mapping[str, str]:
    """How the port of an address is found: a link-local one tells the MAC address (RFC 4291, appendix A)."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6 and parsed.is_link_local:
        last = parsed.packed[8:]
        mac = bytes([last[0] ^ 2]) + last[1:3] + last[5:8]
        return {"mac_address": mac.hex(":")}
    return {"fixed_ips": f"ip_address={address}"}


def _ec2(row: Row[Any], path: list[str]) -> tuple[bytes, str]:
    version = path[0]
    if version not in content.EC2_VERSIONS and version != "latest":
        raise NotFound("There is nothing here.")
    data = content.user_data(row)
    if len(path) == 1:
        return _lines(["meta-data/"] + (["user-data"] if data is not None else []))
    if path[1:] == ["user-data"]:
        return _found(data), "application/octet-stream"
    if path[1] != "meta-data":
        raise NotFound("There is nothing here.")
    node: Any = content.ec2(row, row.nics)
    for part in path[2:]:
        # A key is listed as `0=name` and asked for as `0`.
        name = (
            next((each for each in node if each.partition("=")[0] == part), None)
            if isinstance(node, dict)
            else None
        )
        if name is None:
            raise NotFound("There is nothing here.")
        node = node[name]
    if isinstance(node, dict):
        folders = {name for name, value in node.items() if isinstance(value, dict) and "=" not in name}
        return _lines([f"{name}/" if name in folders else name for name in sorted(node)])
    return _lines(node) if isinstance(node, list) else (str(node).encode(), "text/plain")


def _lines(names: list[str]) -> tuple[bytes, str]:
    return "\n".join(names).encode(), "text/plain"


def _found(data: bytes | None) -> bytes:
    if data is None:
        raise NotFound("There is nothing here.")
    return data


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        body += chunk
        if len(body) > MOST_PASSWORD_BYTES:
            raise BadRequest(f"A password has at most {MOST_PASSWORD_BYTES} characters.")
        if not message.get("more_body"):
            return body
