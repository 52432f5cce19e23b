"""What is told of each request once it has ended.

bodies.py        ObservedBody: a streamed body that tells when it has ended
naming.py        what may be logged of a request's URL and headers
request_span.py  the spans of a request, if it is traced
request_line.py  the `request` line of the log
"""
