"""Retry, circuit breaker, fallback, and answers read to their end for clients who left."""
