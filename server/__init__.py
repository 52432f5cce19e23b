"""The parts that gunicorn loads before the application. They must not import `app`: gevent must be loaded first.

arbiter/      gunicorn's main process: its command line, its start, and its hooks
workers/      the worker processes, on gevent and on threads
connections/  sockets: accepting, bounds on slow clients, closing, relaying a stream
http/         the heads of messages, and the answers to requests that do not reach the application
server_log.py log lines of gunicorn and of the server, in the format of the application's
"""
