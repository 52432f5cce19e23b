"""Read, check and prepare the images and files in requests for the model.

- `parts`: the parts of a message, converted from what clients send to the format of OpenAI's chat.
- `plain_texts`: recognizes conversations of plain texts, which need no step for each message.
- `intake`: `MediaIntake`, which prepares the images and files of a conversation.
- `images`: prepares one image, given by its URL or its bytes. `files`: prepares one PDF file.
- `work`: `MediaWork`, the limits and side processes of that work, and the client that it is done for.
- `reading`: reads the body of a conversation, with large images and files cut out.
"""
