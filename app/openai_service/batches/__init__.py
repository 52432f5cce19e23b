"""The upstream's Batch API: files of requests that are answered within a day.

- `calls.py`: sends one request, with its retries, within the circuit of them all.
- `client.py`: uploads files, and creates, finds, retrieves and cancels batches.
- `objects.py`: parses batches and the lines of their output files.
- `failures.py`: `NoteFailure`, which takes what failed, for the owner.
"""
