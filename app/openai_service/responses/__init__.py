"""Calls /responses. All other code uses the format of /chat/completions; this package translates between the two.

- `endpoints.py`: `Endpoints`, which chooses between /chat/completions and /responses
- `request_body.py`: translates the body of a chat completion
- `input_items.py`: translates its messages into input items
- `reasoning_items.py`: reasoning and commentary items, which a tool loop sends back to the model
- `output.py`: parses the output items of a response
- `answer.py`: parses a complete response into a `ChatResult`
- `stream.py`: `ResponseReader`, which parses the events of a stream into `Events`
- `growing_output.py`: `GrowingOutput`, the output items of a stream so far
- `event_order.py`: `EventOrder`, which sorts the events of a stream and drops duplicates
- `usage.py`: renames the fields of a usage to those of chat completions
- `client_tools.py`: custom tools and the computer tool, which the client runs like functions
- `tool_media.py`: moves images and files out of tool results, for chat completions
- `hosted_tools.py`: tools that run at OpenAI: their settings in a request, and their calls in an answer
- `generated_images.py`: limits the size of the images that the image_generation tool makes
"""
