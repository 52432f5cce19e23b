"""The events of answers of each kind, as the service hands them on: every encoder is tested with the same."""

from __future__ import annotations

from app.models.token_counts import Usage
from app.openai_service import Done, Events, Failed, Refusal, Token, ToolRun
from app.openai_service.errors import UpstreamTruncated
from app.openai_service.streaming.events import Reasoning, ToolCallDelta

MODEL = "gpt-6.1-terra-2026-10-01"
USAGE = Usage.parse({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})


def done(finish_reason: str = "stop", **fields: object) -> Done:
    return Done(finish_reason, USAGE, MODEL, "chatcmpl-1", [])._replace(**fields)


def call(number: int, name: str, arguments: str) -> dict[str, object]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


TEXT: list[Events] = [[Token("Hel")], [], [Token("lo")], [done()]]

RECORDED: dict[str, list[Events]] = {
    "text": TEXT,
    "text that came at once": [[Token("Hel"), Token("lo"), done()]],
    "a text of one piece, cached": [[Token("Hello"), done(is_cached=True, trimmed=2)]],
    "nothing": [[done()]],
    "an emoji whose halves came in two chunks": [[Token("a")], [], [Token("😀 \u2028 \x01")], [done()]],
    "reasoning, then text": [[Reasoning("I ")], [Reasoning("think")], [Token("So.")], [done()]],
    "reasoning between two texts": [[Token("a")], [Reasoning("b"), Token("c")], [Token("d")], [done("length")]],
    "a refusal": [[Refusal("I can")], [Refusal("not.")], [done("content_filter")]],
    "a text, then a refusal": [[Token("Well, ")], [Refusal("no.")], [done("unknown")]],
    "two calls in fragments": [
        [Token("Wait.")],
        [ToolCallDelta(0, "call_0", "weather", "")],
        [ToolCallDelta(0, "", "", '{"in":')],
        [ToolCallDelta(1, "call_1", "clock", "{}"), ToolCallDelta(0, "", "", '"Oslo"}')],
        [
            done(
                "tool_calls",
                tool_calls=[call(0, "weather", '{"in":"Oslo"}'), call(1, "clock", "{}")],
            )
        ],
    ],
    "a call whose name came late": [
        [ToolCallDelta(0, "call_0", "", '{"a"')],
        [ToolCallDelta(0, "", "weather", ":1}")],
        [done("tool_calls", tool_calls=[call(0, "weather", '{"a":1}')])],
    ],
    "a call that is no JSON": [
        [ToolCallDelta(0, "call_0", "weather", '{"a"')],
        [done("length", tool_calls=[call(0, "weather", '{"a"')])],
    ],
    "two rounds of server tools": [
        [Token("Let me see.")],
        [ToolRun("call_0", "order", "running", None), ToolRun("call_1", "stock", "running", None)],
        [ToolRun("call_1", "stock", "failed", 3)],
        [],
        [ToolRun("call_0", "order", "done", 5)],
        [ToolRun("call_2", "order", "running", None)],
        [ToolRun("call_2", "order", "done", 0)],
        [Token("It is "), Token("here.")],
        [done()],
    ],
    "a failure before the first token": [[Failed(UpstreamTruncated())]],
    "a failure after the first token": [[Token("Hel")], [Failed(UpstreamTruncated())]],
    "a failure along with a token": [[Token("Hel"), Failed(UpstreamTruncated())]],
    "a failure amid reasoning": [[Reasoning("I ")], [Failed(UpstreamTruncated())]],
    "a failure amid a call": [[ToolCallDelta(0, "call_0", "weather", '{"a"')], [Failed(UpstreamTruncated())]],
    "a failure amid a server tool": [
        [ToolRun("call_0", "order", "running", None)],
        [Failed(UpstreamTruncated())],
    ],
}


def text_of(events: list[Events]) -> str:
    return "".join(event.text for each in events for event in each if isinstance(event, Token | Refusal))
