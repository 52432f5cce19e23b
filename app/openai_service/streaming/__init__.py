"""Streamed answers: from the bytes of the upstream's event stream to `Events`.

- `sse.py`: splits the bytes of an event stream into the data of its events.
- `chunks.py`: parses OpenAI's chunks into events.
- `events.py`: the events that a streamed answer consists of.
- `reader.py`: reads one upstream answer and waits for its first events.
- `passing.py`: what can be passed on while nobody is awake to read it.
- `chat_stream.py`: the stream that the service returns, with its record and its clean-up.
- `ticks.py`: generators that return control at least once a tick while they wait.
"""
