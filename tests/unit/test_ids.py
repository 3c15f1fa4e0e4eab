"""Ids: well-formed, never repeated, reproducible from a seed."""

import os
import random
import re
import threading
import uuid

from pileus.kernel.ids import BATCH, IdSource, new_hex, new_request_id, new_uuid


def test_uuid_is_a_random_rfc_9562_uuid() -> None:
    for _ in range(3 * BATCH):
        text = new_uuid()
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122


def test_all_four_variant_digits_occur() -> None:
    assert {new_uuid()[19] for _ in range(10 * BATCH)} == set("89ab")


def test_other_forms() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", new_hex())
    assert re.fullmatch(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", new_request_id())


def test_same_seed_same_ids() -> None:
    first, second, other = (IdSource(random.Random(seed).randbytes) for seed in (7, 7, 8))
    ids = [first.uuid() for _ in range(2 * BATCH)]
    assert ids == [second.uuid() for _ in range(2 * BATCH)]
    assert not set(ids) & {other.uuid() for _ in range(2 * BATCH)}


def test_threads_share_no_id() -> None:
    source = IdSource()
    made: list[list[str]] = [[] for _ in range(8)]

    def make(into: list[str]) -> None:
        into.extend(source.uuid() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for into in made for one in into}) == 8 * 2_000


def test_a_forked_process_shares_no_id_with_its_parent() -> None:
    source = IdSource()
    source.uuid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "\n".join(source.uuid() for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, encoding="ascii") as pipe:
        theirs = set(pipe.read().split())
    assert len(theirs) == 50
    assert not theirs & {source.uuid() for _ in range(BATCH)}
