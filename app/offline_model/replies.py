"""Write the offline model's replies: a note, a summary of the request, and samples to test a page's layout."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.offline_model.requests.conversation import Message
from app.offline_model.requests.fields import JsonObject

NOTE = "[offline model] No AI was asked; this reply is made up on the spot."

QUOTE_CHARS = 200
RESULT_CHARS = 1000

CODE = """Here is some code:

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```"""

LIST = """Here is a list:

1. The first point
2. The second point, with **bold** and `code`
   - a point below it
3. The last point"""

TABLE = """Here is a table:

| Word | Letters |
| --- | ---: |
| gate | 4 |
| house | 5 |"""

MARKDOWN = f"""# A heading

A paragraph with **bold**, *italic*, `code` and [a link](https://example.com).

> A quotation.

{LIST}

{TABLE}

{CODE}"""

LONG = "\n\n".join(
    f"This is paragraph {number} of eight. It says nothing of its own: it is here so that a page has "
    "something long to lay out, to scroll, and to stop in the middle of, while it is being built."
    for number in range(1, 9)
)

OFFER = "To see how your page shows it, ask for markdown, a table, code, a list or a long text."

# The first pattern found in the user's message selects the reply.
SAMPLES = (
    (r"markdown", MARKDOWN),
    (r"table", TABLE),
    (r"code|function|program|script", CODE),
    (r"list|bullets?|points|steps", LIST),
    (r"long|essay|story|poem|article|paragraphs?", LONG),
    (r"hello|hi|hey|good (?:morning|day|evening)", "Hello! What shall we build?"),
    (r"thanks|thank you", "You are welcome."),
    (
        r"who are you|what are you|your name",
        "I am the offline model: a small program for working without a key.",
    ),
)


def write_text(messages: Sequence[Message]) -> str:
    """Return a reply to the last message; it is the same for the same conversation."""
    last = messages[-1]
    if last.role == "tool":
        text = [f"The tool answered: {_shorten(last.text, RESULT_CHARS)}"] if last.text or not last.images else []
        body = "\n\n".join([*text, *_describe_images(last)])
    else:
        body = "\n\n".join(_describe_message(last))
    return f"{NOTE} {body}\n\n{_describe_conversation(messages)}"


def write_json(messages: Sequence[Message]) -> JsonObject:
    """Return the reply of JSON mode: an object that holds the text reply."""
    return {"offline": True, "reply": write_text(messages), "messages": len(messages)}


def _describe_message(message: Message) -> list[str]:
    parts = [f"You wrote: “{_shorten(message.text, QUOTE_CHARS)}”."] if message.text.strip() else []
    parts += _describe_images(message)
    samples = (text for words, text in SAMPLES if re.search(rf"\b(?:{words})\b", message.text, re.IGNORECASE))
    parts.append(next(samples, OFFER))
    return parts


def _describe_images(message: Message) -> list[str]:
    return [f"I looked at image {number}: {image.description}." for number, image in enumerate(message.images, 1)]


def _describe_conversation(messages: Sequence[Message]) -> str:
    size = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
    has_system = any(message.role in ("system", "developer") for message in messages)
    return f"This conversation has {size}{', a system prompt among them' if has_system else ''}."


def _shorten(text: str, chars: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
