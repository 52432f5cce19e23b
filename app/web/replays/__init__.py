"""Answers that are given again: to a repeated request, and from the middle of a stream.

idempotency.py   the hooks of the header Idempotency-Key
waiting.py       bounds the bodies of requests that wait for another's answer
recording.py     keeps what a stream sends, and goes on when its client has left
holding.py       does so where nothing may wait for the store
client.py        when a stream that is kept ends: its client may leave and come back, or stop it
following.py     sends what is kept, and what is still being written
"""
