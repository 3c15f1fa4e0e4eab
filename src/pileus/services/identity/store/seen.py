"""Proofs that are good once: which have been seen."""

from __future__ import annotations

from datetime import timedelta

from pileus.kernel.db import Duplicate, Tx
from pileus.services.identity.delegation_model import seen_proofs

KEPT = timedelta(hours=1)
"""Longer than any of them is good."""


def first_time(tx: Tx, issuer: str, holder: str, moment: int, nonce: str = "") -> bool:
    """Remembers a proof; False where it has been seen before."""
    tx.execute(seen_proofs.delete().where(seen_proofs.c.seen_at < tx.now - KEPT))
    proof = {"issuer": issuer, "holder": holder, "moment": moment, "nonce": nonce}
    try:
        with tx.savepoint():
            tx.execute(seen_proofs.insert(), {**proof, "seen_at": tx.now})
    except Duplicate:
        return False
    return True
