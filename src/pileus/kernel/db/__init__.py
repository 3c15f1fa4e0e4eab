"""The database: plain functions of a transaction, run on threads that own their connections."""

from pileus.kernel.db.engine import Database, open_database
from pileus.kernel.db.errors import DatabaseGone, Duplicate, InUse
from pileus.kernel.db.schema import metadata
from pileus.kernel.db.signal import Signal
from pileus.kernel.db.tx import Tx
from pileus.kernel.db.types import Json, RawJson, Timestamp

__all__ = [
    "Database",
    "DatabaseGone",
    "Duplicate",
    "InUse",
    "Json",
    "RawJson",
    "Signal",
    "Timestamp",
    "Tx",
    "metadata",
    "open_database",
]
