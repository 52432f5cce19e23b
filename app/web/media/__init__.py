"""Images and files in the requests that may have them: read, checked and prepared for the model.

- `parts`: the parts of a message as clients send them, in the one form that OpenAI's chat takes.
- `plain_texts`: conversations without any of them, which need no step for each message.
- `intake`: `MediaIntake`, which prepares the images and files of a conversation.
- `images`: one image, by its URL or its bytes. `files`: one PDF file.
- `work`: within which limits, in which processes and for whom that is done.
- `reading`: the body of a conversation, without its large images and files.
"""
