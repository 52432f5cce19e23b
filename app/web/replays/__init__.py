"""Replay answers: to a request that is repeated with its Idempotency-Key, and to a client that resumes a stream.

idempotency.py   the hooks of the header Idempotency-Key
waiting.py       WaitingBodies: bounds the memory of requests that wait for the answer to another one
recording.py     records what a stream sends, and continues the stream when its client has disconnected
holding.py       HoldingEncoder: records tokens that the server's relay writes, without waiting for the store
client.py        RecordedClient: decides when a recorded stream ends, as its client may leave, return or stop it
following.py     sends a recorded answer, from a given event on, and follows it while it is written
"""
