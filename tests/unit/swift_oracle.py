"""Runs in a process of its own: what the real `swift` package makes of headers and outcomes.

Each line on stdin is a JSON list, the name of a question and what it is about; a JSON line for each answer on stdout. A
status stands for a refusal.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")
from swift.common.constraints import check_delete_headers  # noqa: E402 - quiet first
from swift.common.middleware.acl import clean_acl  # noqa: E402
from swift.common.middleware.listing_formats import get_listing_content_type  # noqa: E402
from swift.common.request_helpers import get_heartbeat_response_body  # noqa: E402
from swift.common.swob import HTTPException, Range, Request, Response  # noqa: E402


def ranges(header, size):
    """Status and offset and length of each part."""
    request = Request.blank("/", headers={"Range": header})
    answer = Response(request=request, body=b"x" * size, conditional_response=True)
    answer({**request.environ}, lambda status, headers, _=None: None)
    try:
        found = Range(header).ranges_for_length(size)
    except ValueError:
        found = None
    if answer.status_int != 206:
        return answer.status_int
    return [[start, end - start] for start, end in found]


def acl(name, value):
    try:
        return clean_acl(name, value)
    except ValueError:
        return 400


def delete_at(headers, now):
    try:
        request = check_delete_headers(Request.blank("/v1/a/c/o", headers={**headers, "x-timestamp": now}))
    except HTTPException as error:
        return [error.status_int, error.body.decode()]
    return request.headers.get("x-delete-at")


def form(query, accept):
    request = Request.blank("/v1/a/c" + query, headers={} if accept is None else {"Accept": accept})
    try:
        return get_listing_content_type(request)
    except HTTPException as error:
        return error.status_int


def outcome(kind, values, errors, root):
    return get_heartbeat_response_body(kind, values, errors, root).decode()


if __name__ == "__main__":
    for line in sys.stdin:
        question, *about = json.loads(line)
        print(json.dumps(globals()[question](*about)))
