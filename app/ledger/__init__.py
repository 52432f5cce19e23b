"""The ledger: what each request cost, in one row that is settled once; and budgets that cannot be overspent.

It knows nothing of Flask or of openai: plain values go in and come out.

    Ledger           ledger.py: hold, extend, settle, sweep
      Statements      bookkeeping.py: what each of these does to the tables, by the statements of sql.py
    Prices           pricing.py: from tokens to micro-dollars
    estimate         estimate.py: how many tokens a request may have, where nobody has counted them
    reports          reports.py: totals, and what is left of a budget
    Database         database.py: transactions, on one of
      SqliteDriver     sqlite_driver.py: a file, for all processes of this machine
      PostgresDriver   postgres_driver.py: for several machines
    metadata         metadata.py: what the tables of the whole application are described in; migrations/ makes them
"""

from app.database.database import Database, DatabaseUnavailable, open_database
from app.ledger.ledger import Ledger
from app.ledger.records import BudgetExceeded, Hold, HoldExpired, Limit, NewEntry, Settlement, Unpriced
from app.ledger.reports import Remaining, Reports, Total
from app.pricing.catalog import Prices

__all__ = [
    "BudgetExceeded",
    "Database",
    "DatabaseUnavailable",
    "Hold",
    "HoldExpired",
    "Ledger",
    "Limit",
    "NewEntry",
    "Prices",
    "Remaining",
    "Reports",
    "Settlement",
    "Total",
    "Unpriced",
    "open_database",
]
