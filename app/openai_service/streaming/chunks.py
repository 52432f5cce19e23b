"""ChunkReader: parses OpenAI's chat completion chunks into events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from app.models.token_counts import Usage
from app.openai_service.answers.contents import read_texts
from app.openai_service.answers.finish_reasons import read_finish_reason
from app.openai_service.answers.text import TextJoiner, read_json_with_surrogates, read_str, repair_surrogates
from app.openai_service.answers.tool_calls import ToolCalls, find_tool_calls
from app.openai_service.errors import UpstreamError, UpstreamFailed, UpstreamTruncated
from app.openai_service.streaming.events import Done, Events, Token
from app.openai_service.streaming.sse import EventSplitter
from app.openai_service.transport.sdk_errors import translate_error_object

_END = b"[DONE]"
_CONTENT = b'"delta":{"content":"'
_UNKNOWN_FRAME = b"\n", b""  # no event starts like that
# Numbers, because `in` raises and drops an exception when it searches bytes for bytes.
_CR, _QUOTE, _BACKSLASH = b'\r"\\'
_PADDING = b'"obfuscation":"'
_make_token = partial(tuple.__new__, Token)  # avoids the Python call of Token.__new__()


class ChunkReader:
    """Parses the bytes of one answer in order, and collects the fields of its Done event."""

    hosted_calls: Mapping[str, int] = {}

    def __init__(self) -> None:
        self.model = ""
        self.chunks = 0
        """The number of parsed chunks, without those that contain only a piece of text."""
        self.is_done = False
        """Whether the upstream has sent `[DONE]`."""
        self.service_tier = ""
        """The latest value in a chunk; empty if no chunk has one."""
        self.usage: Usage | None = None
        """The usage of the answer, once it is complete."""
        self._splitter = EventSplitter()
        self._id = ""
        self._raw_usage: dict[str, Any] | None = None
        self._has_text = False
        self._has_message = False
        self._finish_reason: object = None
        self._tool_calls = ToolCalls()
        self._joiner = TextJoiner()
        # The bytes before and after the text of a text-only chunk. In most answers they never change.
        self._text_frame = _UNKNOWN_FRAME

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete; Done is the last one.

        Raises:
            UpstreamTruncated: the stream ended without a finish_reason or `[DONE]`, or the upstream aborted the answer.
            UpstreamFailed: the data is not a stream of chunks, or contains no chunk.
            UpstreamError: the stream contains an error object.
        """
        pending = self._joiner.pending
        for raw in self._splitter.feed(data):
            if self.model and not pending and (text := _read_plain_token(raw)):
                self._has_text = True
                events.append(Token(text))
            elif raw.strip() == _END:
                self.is_done = True
                self._end(events)
                return
            else:
                self._read(raw, events)

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """The bytes before and after the text of a text-only chunk; `TokenReader` describes them."""
        return _UNKNOWN_FRAME if self.is_done or self._joiner.pending or self._splitter.rest else self._text_frame

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of text-only chunks. If the data contains anything else, return [] and consume nothing."""
        if self.is_done or self._joiner.pending or self._splitter.rest:
            return []
        before, after = self._text_frame
        if data.startswith(before) and (text := _cut_text(data, len(before), after)):
            self._has_text = True
            return [_make_token((text,))]
        events: Events = []
        for raw in self._splitter.feed_whole(data):
            plain = _read_plain_token(raw) if self.model else None
            if not plain:
                return []
            events.append(_make_token((plain,)))
        if len(events) == 1:
            self._text_frame = _find_frame(data)
        self._has_text |= bool(events)
        return events

    def end(self, events: Events) -> None:
        """Append the last events of a stream whose body has ended. Raises the errors of feed()."""
        for raw in self._splitter.end():
            if raw.strip() == _END:
                self.is_done = True
            else:
                self._read(raw, events)
        self._end(events)

    def _end(self, events: Events) -> None:
        for event in self._joiner.flush():
            self._has_text = True
            events.append(event)
        self.usage = Usage.parse(self._raw_usage, wrote=self._has_text)
        try:
            # Without a finish_reason, an answer is complete at `[DONE]`, or at the end of a body that was not streamed.
            if self._splitter.is_json and not self._has_message:
                raise UpstreamFailed
            is_complete = self._has_message or (self.is_done and self._has_text)
            if self._finish_reason is None and not is_complete:
                raise UpstreamTruncated if self.chunks else UpstreamFailed
            tool_calls = self._tool_calls.finish()
            finish_reason = read_finish_reason(self._finish_reason, has_tool_calls=bool(tool_calls))
        except UpstreamError as error:
            raise error.with_billed_usage(self.usage) from None
        events.append(Done(finish_reason, self.usage, self.model, self._id, tool_calls))

    def usage_so_far(self) -> Usage | None:
        """Return the usage reported so far by an answer that has not ended, without its output tokens."""
        usage = Usage.parse(self._raw_usage)
        return usage and replace(usage, completion_tokens=None, is_reported=False)

    def _read(self, raw: bytes, events: Events) -> None:
        joiner = self._joiner if self._joiner.pending else None
        try:
            chunk = orjson.loads(raw)
        except orjson.JSONDecodeError:
            chunk, joiner = _read_with_surrogates(raw), self._joiner
        if not isinstance(chunk, dict):
            raise UpstreamFailed
        self.chunks += 1
        if chunk.get("error"):
            raise translate_error_object(chunk["error"])
        self._id = self._id or read_str(chunk.get("id"))
        self.model = self.model or read_str(chunk.get("model"))
        self.service_tier = read_str(chunk.get("service_tier")) or self.service_tier
        self._note_usage(chunk.get("usage"))
        choices = chunk.get("choices")
        # Empty in the chunk with the usage, and in Azure's first chunk.
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._note_usage(choices[0].get("usage"))  # Moonshot
            if found := self._read_choice(choices[0], joiner):
                self._has_text = True
                events += found

    def _note_usage(self, usage: object) -> None:
        """Store the latest usage, which may grow with each chunk. A zero count and an empty usage replace nothing."""
        if isinstance(usage, dict) and (usage or self._raw_usage is None):
            before = self._raw_usage or {}
            self._raw_usage = {name: count or before.get(name, count) for name, count in usage.items()}

    def _read_choice(self, choice: dict[str, Any], joiner: TextJoiner | None) -> Events:
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return self._read_message(choice.get("message"))
        texts = read_texts(delta)
        if joiner is not None:
            texts = [event for event in map(joiner.join, texts) if event.text]
        if calls := find_tool_calls(delta):
            return [*texts, *self._tool_calls.add(calls)]
        return [*texts]

    def _read_message(self, message: object) -> Events:
        """Parse the complete message of a server that does not stream. Skip a repetition of a streamed answer."""
        if not isinstance(message, dict) or self._has_text or self._has_message:
            return []
        self._has_message = True
        calls = find_tool_calls(message) or []
        return [*read_texts(message), *self._tool_calls.add_whole(calls)]


def _read_with_surrogates(raw: bytes) -> Any:
    """Parse a chunk with lone surrogates. They are repaired in all fields except `delta`, where TextJoiner does it."""
    try:
        raw_chunk = read_json_with_surrogates(raw)
    except ValueError:
        raise UpstreamFailed from None
    chunk = repair_surrogates(raw_chunk)
    match raw_chunk:
        case {"choices": [{"delta": delta}, *_]}:
            chunk["choices"][0]["delta"] = delta
    return chunk


def _read_plain_token(raw: bytes) -> str | None:
    """Return the text of a text-only chunk, as most chunks are; None for any other chunk.

    The text is sliced rather than parsed: on a stream of single tokens, parsing is most of the work.
    """
    start = raw.find(_CONTENT)
    if start < 0:
        return None
    start += len(_CONTENT)
    end = raw.find(b'"}', start)
    text = raw[start:end]
    if (
        end < 0
        or _BACKSLASH in text
        or _QUOTE in text
        or raw.find(b'"finish_reason":null', end) < 0
        or raw.find(b'"usage":{') >= 0
    ):
        return None
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


def _find_frame(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after the text of a text-only chunk, without the value of its padding."""
    start = data.find(_CONTENT) + len(_CONTENT)
    after, padding, _ = data[data.find(b'"', start) :].partition(_PADDING)
    return data[:start], after + padding


def _cut_text(data: bytes, start: int, after: bytes) -> str | None:
    """Return the text of a chunk that starts with the known frame; None if it does not end with it."""
    end = data.find(b'"', start)
    rest = end + len(after)
    if not data.startswith(after, end) or data.find(b"\n") != len(data) - 2 or _CR in data:
        return None
    if rest != len(data) and not data.find(b'"', rest) == data.find(b'"}\n\n', rest) == len(data) - 4:
        return None
    text = data[start:end]
    try:
        return None if _BACKSLASH in text else text.decode()
    except UnicodeDecodeError:
        return None
