"""Clients' connections, from the first byte to the last.

listening.py       accepts connections, a fair share in each worker
arrival.py         limits slow requests, and the connections of one address
stream_socket.py   StreamSocket: gevent's socket, with cheaper small reads and writes
relay.py           Relay: copies a stream to its client in gevent's loop, while the greenlet of the request sleeps
lingering.py       closes answered connections without blocking on their clients
"""
