"""The audit trail: a row for each change by an administrator, written in the transaction of the change.

actors.py  Actor: who makes a change, and from which address
trail.py   record() writes a row; AuditTrail reads them
tables.py  the table
"""
