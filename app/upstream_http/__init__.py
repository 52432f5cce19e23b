"""An HTTP/1.1 client below the SDK, which knows nothing of OpenAI.

- `client.py`: `UpstreamClient`, an `httpx2.Client` for one origin
- `call_state.py`: `CallState`, the time limits of one call, and `Tick`
- `connection.py`: one connection, and parsing its responses
- `connection_pool.py`: opening connections, also through a proxy, and reusing them
"""
