"""Observe requests: write the log line and the trace spans of each request when it has ended.

bodies.py        ObservedBody: a streamed body that notifies listeners when it has ended
naming.py        the parts of a request's URL and headers that may be logged
request_span.py  the spans of a request, if it is traced
request_line.py  the `request` line of the log
"""
