"""Tokens as signed JSON (JWS, RFC 7515, ES256), for clouds whose services read a token without asking for it.

One process signs with a private key; all that have the public keys can open. The folder holds `private/private.pem`, and in
`public/` the keys that open, those of earlier private keys and of other machines among them, as Keystone keeps them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pileus.kernel.files import write_whole
from pileus.services.identity.tokens import Claims, Federated

ALGORITHM = "ES256"


class Payload(msgspec.Struct, omit_defaults=True):
    """The names that Keystone uses."""

    sub: str
    exp: float
    iat: float
    openstack_methods: tuple[str, ...]
    openstack_audit_ids: tuple[str, ...]
    openstack_system: str | None = None
    openstack_domain_id: str | None = None
    openstack_project_id: str | None = None
    openstack_trust_id: str | None = None
    openstack_group_ids: tuple[str, ...] | None = None
    openstack_idp_id: str | None = None
    openstack_protocol_id: str | None = None
    openstack_access_token_id: str | None = None
    openstack_app_cred_id: str | None = None
    openstack_thumbprint: str | None = None


_decoder = msgspec.json.Decoder(Payload)
_encode = msgspec.json.Encoder().encode


class JwsKeys:
    """Reads keys again when a folder of them has changed; makes the first pair where there is none."""

    def __init__(self, folder: Path) -> None:
        self.private, self.public = folder / "private", folder / "public"
        self._stamp = (-1, -1)
        self._signing: Any = None
        self._opening: list[Any] = []
        for each in (folder, self.private, self.public):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.private / "private.pem").exists():
            self.rotate()

    def rotate(self) -> None:
        """A new pair signs; what was signed before is opened for as long as its public key stays."""
        from joserfc.jwk import ECKey

        key = ECKey.generate_key("P-256")
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f.pem")
        write_whole(self.public / name, key.as_pem(private=False))
        write_whole(self.private / "private.pem", key.as_pem(private=True))

    def sign(self, payload: bytes) -> str:
        from joserfc import jws

        self._read()
        return str(jws.serialize_compact({"alg": ALGORITHM, "typ": "JWT"}, payload, self._signing))

    def verify(self, token: str) -> bytes | None:
        """The payload, or None where none of the keys signed it."""
        from joserfc import jws
        from joserfc.errors import JoseError

        self._read()
        for key in self._opening:
            try:
                return bytes(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
            except (JoseError, ValueError):
                continue
        return None

    def _read(self) -> None:
        stamp = (self.private.stat().st_mtime_ns, self.public.stat().st_mtime_ns)
        if stamp == self._stamp:
            return
        from joserfc.jwk import ECKey

        self._signing = ECKey.import_key((self.private / "private.pem").read_bytes())
        newest_first = sorted(self.public.glob("*.pem"), reverse=True)
        self._opening = [ECKey.import_key(path.read_bytes()) for path in newest_first]
        self._stamp = stamp


class JwsTokens:
    """Tokens of some 600 characters that anybody can read and nobody but the key's holder can make."""

    def __init__(self, keys: JwsKeys) -> None:
        self.keys = keys

    def seal(self, claims: Claims) -> str:
        federated = claims.federated
        payload = Payload(
            sub=claims.user_id,
            exp=claims.expires_at.timestamp(),
            iat=claims.issued_at.timestamp(),
            openstack_methods=claims.methods,
            openstack_audit_ids=claims.audit_ids,
            openstack_system="all" if claims.scope == "system" else None,
            openstack_domain_id=claims.scope_id if claims.scope == "domain" else None,
            openstack_project_id=claims.scope_id if claims.scope == "project" else None,
            openstack_trust_id=claims.trust_id,
            openstack_group_ids=federated.group_ids if federated is not None else None,
            openstack_idp_id=federated.identity_provider_id if federated is not None else None,
            openstack_protocol_id=federated.protocol_id if federated is not None else None,
            openstack_access_token_id=claims.access_token_id,
            openstack_app_cred_id=claims.application_credential_id,
            openstack_thumbprint=claims.thumbprint,
        )
        return self.keys.sign(_encode(payload))

    def unseal(self, token: str) -> Claims | None:
        if len(token) > 8192 or token.count(".") != 2 or not token.isascii():
            return None
        raw = self.keys.verify(token)
        if raw is None:
            return None
        try:
            found = _decoder.decode(raw)
            return _claims(found)
        except (msgspec.MsgspecError, ValueError, OverflowError):
            return None


def _claims(found: Payload) -> Claims:
    federated = None
    if found.openstack_idp_id is not None and found.openstack_protocol_id is not None:
        groups = found.openstack_group_ids or ()
        federated = Federated(found.openstack_idp_id, found.openstack_protocol_id, groups)
    scope_id = found.openstack_project_id or found.openstack_domain_id
    return Claims(
        user_id=found.sub,
        methods=found.openstack_methods,
        scope="system"
        if found.openstack_system
        else "project"
        if found.openstack_project_id
        else "domain"
        if found.openstack_domain_id
        else "unscoped",
        scope_id=scope_id,
        issued_at=datetime.fromtimestamp(found.iat, UTC),
        expires_at=datetime.fromtimestamp(found.exp, UTC),
        audit_ids=found.openstack_audit_ids,
        trust_id=found.openstack_trust_id,
        application_credential_id=found.openstack_app_cred_id,
        access_token_id=found.openstack_access_token_id,
        federated=federated,
        thumbprint=found.openstack_thumbprint,
    )
