"""Metrics and traces, for the operator of the server."""
