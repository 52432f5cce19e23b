"""What is told of each request once it has ended.

bodies.py        ObservedBody: a streamed body that tells when it has ended
request_line.py  the `request` line of the log
"""
