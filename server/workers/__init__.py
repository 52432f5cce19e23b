"""gunicorn's worker processes, with a shutdown that finishes running requests.

gevent_worker.py   StreamWorker, on gevent
thread_worker.py   StreamThreadWorker, on threads
"""
