"""Users who need several methods of authentication: their rules, and receipts for what they have proven so far."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from pileus.services.identity.account import missing_methods
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.delegation import refuse
from pileus.services.identity.state import IdentityState
from pileus.services.identity.tokens import Receipt, unseal_receipt

HEADER = "openstack-auth-receipt"


class MoreNeeded(Exception):
    """What was proven is right, but none of the user's rules is fulfilled by it."""

    def __init__(self, user: Row[Any], methods: tuple[str, ...], rules: list[list[str]]) -> None:
        super().__init__("more methods of authentication are needed")
        self.user = user
        self.methods = methods
        self.rules = rules


def check(attempt: Attempt, proof: Proof, known: frozenset[str]) -> tuple[str, ...]:
    """All methods that the user has fulfilled, those of a receipt included. Raises MoreNeeded."""
    methods = tuple(dict.fromkeys((*_earlier(attempt, proof), *proof.methods)))
    rules = missing_methods(proof.user.options, frozenset(methods), known)
    if rules:
        raise MoreNeeded(proof.user, methods, rules)
    return methods


def _earlier(attempt: Attempt, proof: Proof) -> tuple[str, ...]:
    sealed = attempt.call.header(HEADER)
    if sealed is None:
        return ()
    found = unseal_receipt(attempt.state.keys, sealed)
    if found is None or found.expires_at <= attempt.state.clock.now() or found.user_id != proof.user.id:
        raise refuse("the receipt is none of ours, not this user's, or has expired")
    return found.methods


def issue(state: IdentityState, more: MoreNeeded) -> Receipt:
    now = state.clock.now()
    return Receipt(
        user_id=more.user.id,
        methods=more.methods,
        issued_at=now,
        expires_at=now + timedelta(seconds=state.settings.receipt_lifetime_seconds),
    )
