"""Clients' connections, from the first byte to the last.

listening.py       accepts connections, a fair share in each worker
arrival.py         bounds slow requests, and the connections of one address
stream_socket.py   StreamSocket: gevent's socket, with cheaper small reads and writes
relay.py           Relay: passes on the parts of a stream in gevent's loop, while the greenlet of its request sleeps
lingering.py       closes answered connections without waiting for their clients
"""
