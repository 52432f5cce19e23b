"""The MetaData of all tables of the application, so that one chain of migrations creates them."""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
