"""An HTTP/1.1 client below the SDK, which knows nothing of OpenAI.

- `client.py`: `UpstreamClient`, an `httpx2.Client` for one origin
- `call_state.py`: `CallState`, the time limits of one call, and `Tick`
- `connection.py`: one connection, and parsing its responses
- `heads.py`: the heads of responses, and mending them
- `relaying.py`: passing on parts of an answer while whoever reads it sleeps
- `keep_alive.py`: how long an idle connection may be kept
- `sending.py`: sending a large request while watching for an answer
- `decoding.py`: bodies that are compressed although that was not asked for
- `spool.py`: keeping large data in a temporary file
- `connection_pool.py`: opening connections, and reusing them
- `addresses.py`: looking a host up, and connecting to the first of its addresses that answers
- `proxies.py`: the proxy and the exceptions that the environment names
"""
