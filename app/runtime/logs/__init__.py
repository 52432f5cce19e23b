"""The log of the process: one line for each event, with metadata only. docs/logs.md lists the events.

lines.py     the two formats of a line, text and JSON
events.py    log_event(): logs an event with its fields, fast enough for each request
setup.py     configures the handler, and which lines of other packages are logged
uncaught.py  logs uncaught exceptions and warnings in the same format
"""
