"""An HTTP/1.1 client below the SDK. It contains nothing specific to OpenAI.

- `client.py`: `UpstreamClient`, an `httpx2.Client` for one origin
- `call_state.py`: `CallState`, the time limits of one call, and `Tick`
- `connection.py`: `Connection`, which sends requests and parses responses
- `heads.py`: parses the heads of responses, and repairs duplicate Content-Length headers
- `relaying.py`: forwards parts of an answer to the client without waking the greenlet of the request
- `keep_alive.py`: how long an idle connection may stay open
- `sending.py`: sends a large request while checking for an early response
- `decoding.py`: decompresses bodies that were compressed without request
- `spool.py`: stores large data in a temporary file
- `connection_pool.py`: `ConnectionPool`, which opens and reuses connections
- `addresses.py`: resolves a host, and connects to the first of its addresses that answers
- `proxies.py`: the proxy, and the hosts without one, from the environment variables
"""
