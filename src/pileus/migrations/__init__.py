"""The database's schema and its one linear history.

A fresh database comes from one script for each dialect (`schema/sqlite.sql`, `schema/postgresql.sql`), since running
every migration would cost most of a cold start; a test proves both ways equal. An older one is migrated by
Alembic when the cloud comes up. To change the schema: change a service's `model.py`, write
`versions/NNNN_title.py`, then run `python -m pileus.migrations.generate`.
"""
