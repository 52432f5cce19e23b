"""The commands for the data of years.

backup  copy the database to a file, and put it back
schema  check the database's tables, and bring them up to date
"""
