"""Where a user's account is in an object store of Swift's API, and a token for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pileus.drivers.image.remote import Answer, Client
from pileus.kernel.clock import Clock
from pileus.services.image.driver import StoreError
from pileus.services.image.store_settings import StoreSettings

FRESH = timedelta(minutes=10)
"""A token that does not live so much longer is not begun anything with."""
_INTERFACES = {"publicURL": "public", "internalURL": "internal", "adminURL": "admin"}


class _Endpoint(msgspec.Struct):
    interface: str
    url: str
    region_id: str | None = None


class _Service(msgspec.Struct):
    type: str
    endpoints: list[_Endpoint] = []


class _Token(msgspec.Struct):
    expires_at: datetime
    catalog: list[_Service] = []


class _Granted(msgspec.Struct):
    token: _Token


@dataclass(frozen=True, slots=True)
class Session:
    url: str
    """Of the account."""
    token: str
    until: datetime


class Account:
    """Authenticates when first asked, and again before a token ends (Identity API v3; version 1 is TempAuth's)."""

    def __init__(self, store: str, settings: StoreSettings, client: Client, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._client = client
        self._clock = clock
        self._session: Session | None = None
        self._asking = asyncio.Lock()

    async def session(self, refused: Session | None = None) -> Session:
        """One that is good for a while; not `refused`, where the store took that for none. Raises StoreError."""
        async with self._asking:
            known = self._session
            if known is None or known is refused or known.until - self._clock.now() < FRESH:
                known = self._session = await (
                    self._version_1() if self._settings.auth_version == "1" else self._version_3()
                )
            return known

    async def _version_1(self) -> Session:
        settings = self._settings
        headers = {"x-auth-user": settings.user, "x-auth-key": settings.key}
        answer = await self._client.ask("GET", settings.auth_address, headers)
        url = settings.endpoint or answer.headers.get("x-storage-url", "")
        token = answer.headers.get("x-auth-token", "")
        if not answer.ok or not token or not url:
            raise self._refused(answer)
        seconds = answer.headers.get("x-auth-token-expires", "")
        lifetime = timedelta(seconds=int(seconds) if seconds.isdecimal() and len(seconds) < 9 else 3600)
        return Session(url.rstrip("/"), token, self._clock.now() + lifetime)

    async def _version_3(self) -> Session:
        settings = self._settings
        base = settings.auth_address.rstrip("/")
        url = f"{base if base.endswith('/v3') else base + '/v3'}/auth/tokens"
        body = msgspec.json.encode(self._asked())
        answer = await self._client.ask("POST", url, {"content-type": "application/json"}, body)
        token = answer.headers.get("x-subject-token", "")
        if answer.status != 201 or not token:
            raise self._refused(answer)
        try:
            granted = msgspec.json.decode(answer.body, type=_Granted).token
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"{url} does not answer as an identity service does.") from error
        return Session((settings.endpoint or self._endpoint(granted)).rstrip("/"), token, granted.expires_at)

    def _asked(self) -> dict[str, Any]:
        settings = self._settings
        project, _, user = settings.user.partition(":")
        return {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {
                            "name": user,
                            "domain": {"name": settings.user_domain_name},
                            "password": settings.key,
                        }
                    },
                },
                "scope": {"project": {"name": project, "domain": {"name": settings.project_domain_name}}},
            }
        }

    def _endpoint(self, token: _Token) -> str:
        settings = self._settings
        interface = _INTERFACES.get(settings.endpoint_type, settings.endpoint_type)
        for service in token.catalog:
            for each in service.endpoints if service.type == settings.service_type else ():
                if each.interface == interface and settings.region in ("", each.region_id):
                    return each.url
        where = f" in region {settings.region}" if settings.region else ""
        raise StoreError(
            f"Store {self._store}: the catalog of {settings.auth_address} has no {interface} endpoint of type "
            f"{settings.service_type}{where}. Set service_type, endpoint_type and region, or endpoint."
        )

    def _refused(self, answer: Answer) -> StoreError:
        return StoreError(
            f"Store {self._store} can't be used: {self._settings.auth_address} gives its user "
            f"{self._settings.user} no token ({answer.status}). An administrator must look at its settings."
        )
