"""Streamed answers: parses the bytes of the upstream's event stream into `Events`.

- `sse.py`: splits the bytes of an event stream into the data of its events.
- `chunks.py`: parses OpenAI's chunks into events.
- `events.py`: the events that a streamed answer consists of.
- `reader.py`: reads one upstream answer and waits for its first events.
- `passing.py`: `TokenRelay`, which forwards tokens to the client without waking the request's greenlet.
- `chat_stream.py`: `ChatStream`, which the service returns; records the call and cleans up.
- `ticks.py`: generators that return control at least once a tick while they wait.
"""
