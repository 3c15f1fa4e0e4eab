"""Imports every module that declares tables, so that the schema is whole."""

from pileus.kernel.api import idempotency, quota
from pileus.kernel.work import model as work
from pileus.services.identity import model as identity

TABLES_OF = (idempotency, quota, work, identity)
