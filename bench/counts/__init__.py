"""Counts that do not depend on other load on the machine: function calls and SQL statements."""
