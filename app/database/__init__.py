"""Transactions on SQLite or PostgreSQL, and the migrations that make the tables."""
