"""Runs in a process of its own: the real `swift` package reads or builds a ring, and says where names live.

swift_rings.py read FILE            names on stdin, one a line; a JSON line for each on stdout
swift_rings.py build FILE VERSION   a ring of Swift's own builder
swift_rings.py endpoints FOLDER     paths on stdin, one a line; for each the status and the answer of list_endpoints
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import swift.common.utils as swift_utils  # noqa: E402 - quiet first
from swift.common.ring import Ring, RingBuilder  # noqa: E402

PREFIX, SUFFIX = b"changeme", b"too"


def read(file: str) -> None:
    ring = Ring(file)
    for name in sys.stdin.read().split("\n"):
        partition, primaries = ring.get_nodes(*name.split("/", 2))
        print(
            json.dumps(
                [partition, [n["id"] for n in primaries], [n["id"] for n in ring.get_more_nodes(partition)]]
            )
        )


def build(file: str, version: str) -> None:
    builder = RingBuilder(8, 2.5, 1)
    for number in range(14):
        builder.add_dev(
            {
                "region": 1 + number % 2,
                "zone": number % 5,
                "ip": f"10.0.0.{number % 9}",
                "port": 6200,
                "device": f"sd{number}",
                "weight": 100 + number,
                "meta": "rack 7",
            }
        )
    builder.rebalance(seed=1)
    builder.remove_dev(4)
    builder.pretend_min_part_hours_passed()
    builder.rebalance(seed=2)
    builder.get_ring().save(file, format_version=int(version))


def endpoints(folder: str) -> None:
    from swift.common.middleware import list_endpoints
    from swift.common.swob import Request

    list_endpoints.get_container_info = lambda *_, **__: {"storage_policy": 0}
    middleware = list_endpoints.ListEndpointsMiddleware(None, {"swift_dir": folder})
    for path in sys.stdin.read().split("\n"):
        answer = Request.blank(path).get_response(middleware)
        body = json.loads(answer.body) if answer.status_int == 200 else None
        print(json.dumps([answer.status_int, body]))


if __name__ == "__main__":
    swift_utils.HASH_PATH_PREFIX, swift_utils.HASH_PATH_SUFFIX = PREFIX, SUFFIX
    {"read": read, "build": build, "endpoints": endpoints}[sys.argv[1]](*sys.argv[2:])
