"""The ledger: one row for each request, and budgets that cannot be overspent.

Before a request, its maximum cost is held. After it, the hold is settled exactly once, at the actual cost. The ledger
imports neither Flask nor openai: plain values go in and out.

    ledger.py       Ledger: hold, extend, settle, sweep
    statements.py   Statements: binds values to the SQL, runs it, and explains a refusal
    sql_texts.py    the SQL of both databases, as constants
    tables.py       the tables: entries, accounts, daily_totals, rolled_totals, outbox
    records.py      the values that go in and out, and the errors
    background.py   BackgroundSettler: retries settlements, sweeps, rolls up and checkpoints
    journal.py      Journal: settlements on disk that the database does not have yet
    call_notes.py   CallNotes: the progress of each running call, for the sweep of killed processes
    reports.py      Reports: totals, and what is left of budgets
    rollups.py      sums of daily totals, for reports of long periods
    totals_query.py the query of a report's totals, which reads the fewest possible rows
    single_calls.py the cost of one request
    observed_use.py the maximum use seen for each kind of answer, for the charges of killed calls
    backlog.py      counts the entries that are not delivered to other systems yet
"""
