"""What long conversations cost at an upstream that bills its prompt cache as OpenAI documents it since gpt-5.6.

`python -m tests.fakes.upstreams.prefix_billing` prints the table of docs/caching.md: the bill of the input with the cut on a grid,
relative to that of a cut at each turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from app.config import Config
from app.models.pricing.catalog import Prices
from app.models.token_counts import TokenCounts, Usage
from app.openai_service import InputWindow
from app.openai_service.transport.request import UpstreamRequest

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


@cache
def _find_counter() -> Callable[[str], int]:
    return counts.counter([MODEL])


def count_tokens(message: Message) -> int:
    """Return a message's tokens."""
    return 4 + _find_counter()(_read_text(message))


def _read_text(message: Message) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _has_breakpoint(message: Message) -> bool:
    content = message["content"]
    return not isinstance(content, str) and any("prompt_cache_breakpoint" in part for part in content)


@dataclass
class PrefixCache:
    """Bills requests: what is before a breakpoint is written, and read where a request begins with the same messages.

    There is a breakpoint after the latest message, unless the request is to have none but its own.
    """

    micro_usd: int = 0
    _written: list[tuple[str, ...]] = field(default_factory=list)

    def bill(self, messages: Sequence[Message], options: Mapping[str, str] | None = None) -> Usage:
        """Return what a request of these messages uses, and add its price."""
        texts = tuple(map(_read_text, messages))
        tokens = [0, *itertools.accumulate(map(count_tokens, messages))]
        ends = [at + 1 for at, message in enumerate(messages) if _has_breakpoint(message)]
        if options is None:
            ends.append(len(messages))
        ends = [end for end in ends if tokens[end] >= _LEAST_CACHED]
        read = max((len(each) for each in self._written if texts[: len(each)] == each), default=0)
        written = max(0, tokens[max(ends, default=0)] - tokens[read])
        self._written = [*self._written, *(texts[:end] for end in ends)][-_BREAKPOINTS_LOOKED_AT:]
        usage = Usage(
            prompt_tokens=tokens[-1], cached_tokens=tokens[read], cache_write_tokens=written, completion_tokens=0
        )
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
    tokens, first = count_tokens(prompt) + 3, len(turns)
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


CASES = [(8_000, 100), (20_000, 100), (100_000, 300)]
TURN_TOKENS = [300, 600, 1_200, 2_000, 2_500]

if __name__ == "__main__":
    for (room, turns), turn_tokens in itertools.product(CASES, TURN_TOKENS):
        if turns * turn_tokens < 1.5 * room:
            continue  # most of it fits
        ratio, share = compare(room, turns, turn_tokens)
        print(f"| {room:,} | {turns} | {turn_tokens:,} | {ratio:.2f} | {share:.2f} |")  # noqa: T201
