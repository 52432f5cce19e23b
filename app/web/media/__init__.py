"""Images in the requests that may have them: read, checked and prepared for the model.

- `parts`: the parts of a message as clients send them, in the one form that OpenAI's chat takes.
- `intake`: `MediaIntake`, which prepares the images of a conversation.
- `images`: one image, by its URL or its bytes.
- `work`: within which limits, in which processes and for whom that is done.
- `reading`: the body of a conversation, without its large images.
"""
