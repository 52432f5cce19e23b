"""Who changed what: a row for each change by an administrator, written in the transaction of the change itself.

actors.py  Actor: who makes a change, and from where
trail.py   record() writes a row; AuditTrail reads them
tables.py  the table
"""
