"""What the offline model says: that it is one, what it was given, and samples to build a page with."""

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

# The first that matches the user's message answers it.
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


def text_reply(messages: Sequence[Message]) -> str:
    """Reply to the last message: the same conversation gets the same reply."""
    last = messages[-1]
    if last.role == "tool":
        body = f"The tool answered: {_shortened(last.text, RESULT_CHARS)}"
    else:
        body = "\n\n".join(_about(last))
    return f"{NOTE} {body}\n\n{_conversation_of(messages)}"


def json_reply(messages: Sequence[Message]) -> JsonObject:
    """Return the reply of JSON mode: an object that holds the text reply."""
    return {"offline": True, "reply": text_reply(messages), "messages": len(messages)}


def _about(message: Message) -> list[str]:
    said = [f"You wrote: “{_shortened(message.text, QUOTE_CHARS)}”."] if message.text.strip() else []
    said += [f"I looked at image {number}: {image.description}." for number, image in enumerate(message.images, 1)]
    samples = (text for words, text in SAMPLES if re.search(rf"\b(?:{words})\b", message.text, re.IGNORECASE))
    said.append(next(samples, OFFER))
    return said


def _conversation_of(messages: Sequence[Message]) -> str:
    size = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
    has_system = any(message.role in ("system", "developer") for message in messages)
    return f"This conversation has {size}{', a system prompt among them' if has_system else ''}."


def _shortened(text: str, chars: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
