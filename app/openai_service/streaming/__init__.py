"""Streamed answers: from the bytes of an event stream to events."""
