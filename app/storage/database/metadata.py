"""The MetaData of all tables of the application: what the chain of migrations must make of a database.

The files `tables.py` define them for tests/storage/database/test_database.py alone, which compares them with what the
migrations make. The application imports none of them: its statements are texts, so no worker loads SQLAlchemy.
"""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
