"""Counts that no other load on the machine changes: calls of functions, and SQL statements."""
