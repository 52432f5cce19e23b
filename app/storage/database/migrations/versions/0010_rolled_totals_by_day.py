"""Delete rolled-up totals only if an index finds some that a change of the daily totals makes stale.

Usually there are none: a settlement changes today's totals, and rolled-up days end the day before yesterday. A
look-up in the index costs less than a DELETE that finds nothing, for which SQLite creates tables in memory.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_IS_STALE = "(SELECT max(last_day) FROM rolled_totals) >= {day}"
_FORGET = (
    "DELETE FROM rolled_totals WHERE level IN ('days', 'tenant_days', 'tenant_months', 'user_months')"
    " AND last_day >= {day};"
)
_SQLITE_DAYS = {"INSERT": "NEW.day", "UPDATE": "min(NEW.day, OLD.day)", "DELETE": "OLD.day"}


def upgrade() -> None:
    """Create an index by day, and the triggers anew, under their names."""
    op.create_index("rolled_totals_by_day", "rolled_totals", ["last_day"])
    if op.get_bind().dialect.name == "sqlite":
        for event, day in _SQLITE_DAYS.items():
            name = f"forget_rolled_totals_{event.lower()}"
            op.execute(f"DROP TRIGGER {name}")
            op.execute(
                f"CREATE TRIGGER {name} AFTER {event} ON daily_totals WHEN {_IS_STALE.format(day=day)}"
                f" BEGIN {_FORGET.format(day=day)} END"
            )
        return
    day = "least(NEW.day, OLD.day)"
    op.execute(
        "CREATE OR REPLACE FUNCTION forget_rolled_totals() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN IF {_IS_STALE.format(day=day)} THEN {_FORGET.format(day=day)} END IF; RETURN NULL; END $$"
    )
