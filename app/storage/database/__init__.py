"""The SQL database of keys, ledger and batches: transactions with a time limit, on SQLite or PostgreSQL.

database.py          Database: transactions, outages, forks
connections/         open connections, and what stores run statements with
outages.py           tells outages from bugs
driver.py            Driver: what Database needs from each kind of database, as a protocol
sqlite_driver.py     SqliteDriver: a file, for all processes of this machine
file_owners.py       tells whose a file is that may not be written
postgres_driver.py   PostgresDriver: a server, for several machines
metadata.py          the MetaData of all tables
migrate.py           brings the tables up to date
inspection.py        says which revision the tables have, and whether the data is whole
backup.py            copies a database to a file, and puts it back
sqlite_copies.py     does so with a SQLite file
postgres_dumps.py    does so with PostgreSQL's own programs
copy_files.py        writes a copy beside its place until it is whole
dated_copies.py      names copies by their time, and keeps so many of them
migrations/          the migrations, and what runs them with Alembic
"""
