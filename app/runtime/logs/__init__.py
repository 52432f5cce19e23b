"""The log of the process: one line for each event, with metadata only. docs/logs.md lists the events.

lines.py     the two formats of a line, text and JSON
events.py    log_event(): an event with its fields, for lines that are written with each request
setup.py     where the lines go, and which of other packages are written
uncaught.py  exceptions and warnings that nobody catches, as lines like the others
"""
