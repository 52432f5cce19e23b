"""The upstream's Batch API, which answers files of requests within a day.

- `calls.py`: sends a request with retries, under the circuit breaker that all these requests share.
- `client.py`: uploads files, and creates, finds, retrieves and cancels batches.
- `objects.py`: parses batches and the lines of their output files.
- `failures.py`: `NoteFailure`, which reports failures to the owner.
"""
