"""Where data is stored: the SQL database, and the state that all workers share and that may be lost."""
