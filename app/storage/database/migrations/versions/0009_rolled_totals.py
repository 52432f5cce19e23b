"""Create the table of rolled-up totals, empty until a server rolls them up, and a trigger that deletes stale rows.

A change of daily totals deletes the rolled-up rows that include them. So these are also correct after changes by a
server of the previous version, which does not have the table, or by a person with SQL.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEYS = ("level", "last_day", "tenant", "user_id", "model", "route")
_SUMS = (
    *("requests", "estimated", "unpriced", "prompt_tokens", "cached_tokens", "cache_write_tokens"),
    *("completion_tokens", "reasoning_tokens", "tokens", "cost_micro_usd"),
)
# The levels are named so that the rows from a day on are found by the primary key.
_FORGET = (
    "DELETE FROM rolled_totals WHERE level IN ('days', 'tenant_days', 'tenant_months', 'user_months')"
    " AND last_day >= {day};"
)
_SQLITE_DAYS = {"INSERT": "NEW.day", "UPDATE": "min(NEW.day, OLD.day)", "DELETE": "OLD.day"}


def upgrade() -> None:
    """Create the table and the triggers."""
    op.create_table(
        "rolled_totals",
        *(sa.Column(name, sa.Text, primary_key=True) for name in _KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")) for name in _SUMS),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        for event, day in _SQLITE_DAYS.items():
            op.execute(
                f"CREATE TRIGGER forget_rolled_totals_{event.lower()} AFTER {event} ON daily_totals"
                f" BEGIN {_FORGET.format(day=day)} END"
            )
        return
    op.execute(
        "CREATE FUNCTION forget_rolled_totals() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN {_FORGET.format(day='least(NEW.day, OLD.day)')} RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER forget_rolled_totals AFTER INSERT OR UPDATE OR DELETE ON daily_totals"
        " FOR EACH ROW EXECUTE FUNCTION forget_rolled_totals()"
    )
