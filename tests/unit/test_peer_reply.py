"""What another service's refusal becomes."""

from __future__ import annotations

import pytest

from pileus.kernel.errors import ApiError
from pileus.kernel.http.caller import PeerReply


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        (
            b'{"NeutronError": {"type": "OverQuota", "message": "too many", "detail": ""}}',
            "too many",
            "OverQuota",
        ),
        (b'{"itemNotFound": {"message": "no such", "code": 404}}', "no such", ApiError.kind),
        (b'{"NeutronError": "text"}', "another service answered 409", ApiError.kind),
        (b"out of order", "out of order", ApiError.kind),
        (b"[1]", "another service answered 409", ApiError.kind),
    ],
)
def test_its_words_and_its_kind(body: bytes, message: str, kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        PeerReply(409, {}, body).expect(200)
    assert (caught.value.message, caught.value.kind, caught.value.status) == (message, kind, 409)
