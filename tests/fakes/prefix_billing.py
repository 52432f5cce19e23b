"""What long conversations cost at an upstream that bills its prompt cache as OpenAI documents it since gpt-5.6.

`python -m tests.fakes.prefix_billing` prints the table of docs/caching.md: the bill of the input with the cut on a grid,
relative to that of a cut at each turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.config import Config
from app.openai_service import InputWindow
from app.openai_service.transport.request import UpstreamRequest
from app.pricing.catalog import Prices
from app.token_counts import TokenCounts, Usage

MODEL = "gpt-6.1-terra"
Message = dict[str, Any]
Cut = Callable[[Sequence[Message], int], list[Message]]

_LEAST_CACHED = 1_024
_BREAKPOINTS_LOOKED_AT = 80
_WORDS = [
    "so",
    "we",
    "took",
    "the",
    "long",
    "road",
    "by",
    "the",
    "river",
    "and",
    "talked",
    "about",
    "what",
    "we",
    "had",
    "seen",
    "in",
    "the",
    "town",
    "that",
    "day",
    "",
][:-1]

counts = TokenCounts()
_count = counts.counter([MODEL])


def count_tokens(message: Message) -> int:
    """Return a message's tokens."""
    return 4 + _count(message["content"])


@dataclass
class PrefixCache:
    """Bills requests: a boundary is written after the latest message, and read where a request begins with the same messages."""

    micro_usd: int = 0
    _written: list[tuple[str, ...]] = field(default_factory=list)

    def bill(self, messages: Sequence[Message]) -> Usage:
        """Return what a request of these messages uses, and add its price."""
        contents = tuple(message["content"] for message in messages)
        total = sum(map(count_tokens, messages))
        longest = max((len(each) for each in self._written if contents[: len(each)] == each), default=0)
        cached = sum(map(count_tokens, messages[:longest]))
        self._written = [*self._written[1 - _BREAKPOINTS_LOOKED_AT :], contents]
        written = total - cached
        if total < _LEAST_CACHED:
            self._written.pop()
            written = 0
        usage = Usage(prompt_tokens=total, cached_tokens=cached, cache_write_tokens=written, completion_tokens=0)
        self.micro_usd += Prices().cost_micro_usd(MODEL, usage) or 0
        return usage


def say(number: int, tokens: int) -> str:
    """Return a text of so many words, most of which are a token each, that begins like no other."""
    return " ".join([f"Number {number}:", *(_WORDS[at % len(_WORDS)] for at in range(max(1, tokens - 8)))])


def converse(turns: int, turn_tokens: int) -> Iterator[list[Message]]:
    """Yield the messages of each request of a conversation, whose answers are three quarters of each turn."""
    messages: list[Message] = [{"role": "system", "content": "You are a guide to the town. " + say(0, 200)}]
    for turn in range(turns):
        messages.append({"role": "user", "content": say(2 * turn, turn_tokens // 4)})
        yield list(messages)
        messages.append({"role": "assistant", "content": say(2 * turn + 1, turn_tokens * 3 // 4)})


def cut_on_grid(messages: Sequence[Message], room: int) -> list[Message]:
    """Return what the product sends of a conversation."""
    window = InputWindow(Config(max_input_tokens=room).models, counts)
    request = UpstreamRequest("/chat/completions", {"messages": list(messages), "max_completion_tokens": 1_000})
    window.trim(request, [MODEL])
    kept: list[Message] = request.body["messages"]
    return kept


def cut_at_each_turn(messages: Sequence[Message], room: int) -> list[Message]:
    """Return the most that fits, as it was sent before."""
    prompt, *turns = messages
    tokens, first = count_tokens(prompt) + 8, len(turns)
    for at in range(len(turns) - 1, -1, -2):
        tokens += sum(map(count_tokens, turns[at : at + 2]))
        if tokens > room:
            break
        first = at
    first -= first % 2
    return [prompt, *turns[first:]]


def compare(room: int, turns: int, turn_tokens: int) -> tuple[float, float]:
    """Return the bill with the cut on a grid relative to that of the other, and the mean share of the room that it uses."""
    grid, each_turn, used = PrefixCache(), PrefixCache(), []
    for messages in converse(turns, turn_tokens):
        used.append((grid.bill(cut_on_grid(messages, room)).prompt_tokens or 0) / room)
        each_turn.bill(cut_at_each_turn(messages, room))
    return grid.micro_usd / each_turn.micro_usd, sum(used[turns // 2 :]) / (turns - turns // 2)


CASES = [
    (8_000, 100, 300),
    (8_000, 100, 600),
    (20_000, 100, 600),
    (20_000, 100, 1_200),
    (100_000, 300, 1_000),
    (100_000, 300, 2_000),
]

if __name__ == "__main__":
    for room, turns, turn_tokens in CASES:
        ratio, share = compare(room, turns, turn_tokens)
        print(f"| {room:,} | {turns} | {turn_tokens:,} | {ratio:.2f} | {share:.2f} |")  # noqa: T201
