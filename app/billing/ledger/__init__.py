"""The ledger: one row for each request, held before it and settled once after it, and budgets it cannot overspend.

It knows nothing of Flask or openai: plain values go in and come out.

    ledger.py       Ledger: hold, extend, settle, sweep
    statements.py   Statements: binds values to the SQL, runs it, and explains a refusal
    sql_texts.py    the SQL of both databases, as constants
    tables.py       the tables: entries, accounts, daily_totals, rolled_totals, outbox
    records.py      the values that go in and out, and the errors
    background.py   BackgroundSettler: retries settlements, sweeps, rolls up and checkpoints
    journal.py      Journal: settlements on disk that the database has not taken yet
    call_notes.py   CallNotes: how far each running call is, for the sweep of killed processes
    reports.py      Reports: totals, and what is left of budgets
    rollups.py      sums of daily totals, which reports of long times read
    totals_query.py the query of a report's totals, over as few rows as there are
    single_calls.py what one request has cost
    observed_use.py the most that answers of each kind have used, for the charges of killed calls
    backlog.py      how many entries other systems are still to be told of
"""
