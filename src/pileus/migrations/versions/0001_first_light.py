"""The schema of the first release: the statements beside this file, as that release laid them.

Revision ID: 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    script = Path(__file__).with_name(f"0001_first_light.{dialect}.sql").read_text()
    for statement in script.split(";\n\n"):
        op.execute(statement.rstrip(";\n"))
