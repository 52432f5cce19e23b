"""JSON Schemas that callers write: their rules, and checking values against them in bounded time."""
