"""Run clients of every kind against an upstream that fails in every way it can: `python -m chaos`.

Gatehouse itself is real: gunicorn with the shipped gunicorn.conf.py, on loopback. The tool controls both sides in one
event loop: what clients send and receive, and every byte of the upstream. Each request has an id in its text, which
the upstream receives. At the end, the records of the client, of the upstream and of the application's log are compared
by this id. Linux only: files, threads and memory are read from /proc.
"""
