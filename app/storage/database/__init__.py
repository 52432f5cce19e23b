"""The SQL database of keys, ledger and batches: transactions with a time limit, on SQLite or PostgreSQL.

database.py          Database: transactions, outages, forks
connections/         the connection pool, and Connection, which runs the statements of stores
outages.py           distinguishes outages from bugs
driver.py            Driver: what Database needs from each kind of database, as a protocol
sqlite_driver.py     SqliteDriver: a file, for all processes of this machine
file_owners.py       finds the owner of a file that the server cannot write
postgres_driver.py   PostgresDriver: a server, for several machines
metadata.py          the MetaData of all tables
migrate.py           migrates the tables to the newest revision
inspection.py        reads the revision of the tables, and checks the data for damage
backup.py            backs up a database to a file, and restores it
sqlite_copies.py     backs up and restores a SQLite file
postgres_dumps.py    backs up and restores with pg_dump and pg_restore
copy_files.py        writes a copy to a temporary file until it is complete
dated_copies.py      names backups by their time, and deletes the oldest
migrations/          the migrations, and the code that runs them with Alembic
"""
