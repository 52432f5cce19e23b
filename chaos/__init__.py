"""Run clients of every kind against an upstream that fails in every way it can: `python -m chaos`.

Gatehouse itself is the real thing: gunicorn with the shipped gunicorn.conf.py, on loopback. Both of its ends
are in the tool's hands, in one event loop: what clients send and see, and every byte of the upstream's. Each
request has an id that travels to the upstream inside its text, so at the end both accounts of it, and the
application's own in its log, are laid side by side. Linux only: files, threads and memory are read from /proc.
"""
