"""The one MetaData that all tables of the application are described in, so that one chain of migrations makes them."""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
