"""The exchange over /responses: everything else knows the form of /chat/completions only, and this translates.

- `endpoints.py`: `Endpoints`, which chooses between /chat/completions and /responses
- `request_body.py`: from the body of a chat completion to that of a response
- `input_items.py`: from its messages to input items
- `kept_items.py`: reasoning items and commentary, which a tool loop hands back
- `output.py`: what the output items of an answer say
- `answer.py`: from a complete response to a `ChatResult`
- `stream.py`: `ResponseReader`, from the events of a stream to `Events`
- `growing_output.py`: the output items of a stream as they grow
- `event_order.py`: events that come twice or out of order
- `usage.py`: usage by its names in chat completions
- `client_tools.py`: tools for free texts and for a computer, which a client runs as it does functions
- `tool_media.py`: images and files in the results of tools, for chat completions
- `hosted_tools.py`: tools that run at OpenAI: how they are offered, and what an answer tells of their calls
- `made_images.py`: how large the images of an answer may be that one of these makes
"""
