"""How S3 writes down errors and names requests."""

from __future__ import annotations

from pileus.kernel.api.call import request_id
from pileus.kernel.api.dialect import Dialect
from pileus.kernel.errors import ApiError
from pileus.services.object_store.s3 import xml
from pileus.services.object_store.s3.errors import translated


def amz_request_id(said: str) -> str:
    """16 digits of the request's id, as AWS's look."""
    return said.removeprefix("req-").replace("-", "")[:16].upper()


def page(error: ApiError) -> tuple[str, bytes]:
    found, said = translated(error), request_id.get()
    elements = [
        ("Code", found.kind),
        ("Message", found.message),
        *found.details.items(),
        ("RequestId", amz_request_id(said)),
        ("HostId", said),
    ]
    return xml.TYPE, xml.document("Error", elements, namespace=False)


def stamps(said: str) -> dict[str, str]:
    return {"x-amz-request-id": amz_request_id(said), "x-amz-id-2": said}


S3 = Dialect(
    name="s3",
    envelope=lambda error, said: {"error": error.message},
    page=page,
    stamps=stamps,
)
