"""Errors that end a call. Their message is for the user: it names the cause and the way out.

How one looks on the wire is the dialect's business; `kind` is the name that dialects with named errors show
(Neutron's `NetworkNotFound`, Placement's `placement.concurrent_update`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.http.reason import reason


class ApiError(Exception):
    """An answer with a status of 400 or more."""

    status: int = 500
    kind: str = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or type(self).kind
        self.status = status or type(self).status
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """The status in words, as `Not Found`."""
        return reason(self.status)


class BadRequest(ApiError):
    status, kind = 400, "BadRequest"


class Unauthorized(ApiError):
    status, kind = 401, "Unauthorized"


class Forbidden(ApiError):
    status, kind = 403, "Forbidden"


class OverQuota(ApiError):
    """The dialect says which status it has: 403, 409 or 413."""

    status, kind = 403, "OverQuota"


class NotFound(ApiError):
    status, kind = 404, "NotFound"


class MethodNotAllowed(ApiError):
    status, kind = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    status, kind = 406, "NotAcceptable"


class Conflict(ApiError):
    status, kind = 409, "Conflict"


class Gone(ApiError):
    status, kind = 410, "Gone"


class PreconditionFailed(ApiError):
    status, kind = 412, "PreconditionFailed"


class TooLarge(ApiError):
    status, kind = 413, "RequestTooLarge"


class UnsupportedMediaType(ApiError):
    status, kind = 415, "UnsupportedMediaType"


class RangeNotSatisfiable(ApiError):
    status, kind = 416, "RangeNotSatisfiable"


class NotImplementedHere(ApiError):
    """An operation that upstream has as an optional feature and this cloud's driver lacks."""

    status, kind = 501, "NotImplemented"


class Unavailable(ApiError):
    status, kind = 503, "ServiceUnavailable"


class Bug(Exception):
    """An invariant of ours does not hold. Never the user's fault."""
