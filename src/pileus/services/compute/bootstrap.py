"""What a new cloud has from the start: flavors."""

from __future__ import annotations

from sqlalchemy import func, select

from pileus.kernel.db import Tx
from pileus.services.compute.model import flavors

FLAVORS = (
    ("42", "m1.nano", 1, 128, 1),
    ("84", "m1.micro", 1, 192, 1),
    ("1", "m1.tiny", 1, 256, 1),
    ("2", "m1.small", 1, 512, 10),
    ("3", "m1.medium", 2, 2048, 20),
    ("4", "m1.large", 4, 4096, 40),
)
"""Id, name, processors, memory in MiB, disk in GiB; sizes that suit small guests on small hosts."""


def lay(tx: Tx) -> None:
    """Makes the flavors at the first start; later an administrator may have removed them for a reason."""
    if tx.scalar(select(func.count()).select_from(flavors)):
        return
    rows = [
        {
            "id": flavor_id,
            "name": name,
            "vcpus": vcpus,
            "memory_mib": memory_mib,
            "root_gib": root_gib,
            "extra_specs": {},
            "created_at": tx.now,
        }
        for flavor_id, name, vcpus, memory_mib, root_gib in FLAVORS
    ]
    tx.execute(flavors.insert(), rows)
