"""ChatPipeline: runs moderation and the cache before and after an upstream call."""

from __future__ import annotations

from app.openai_service.call_recording import CallRecording
from app.openai_service.chat.moderation import Moderator
from app.openai_service.chat.response_cache import CacheEntry, replay_cached
from app.openai_service.results import ChatResult
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest


class ChatPipeline:
    """Runs the steps before and after the upstream call of one conversation.

    Args:
        cache_entry: None if the answer may not be cached.
    """

    def __init__(
        self,
        moderator: Moderator,
        cache_entry: CacheEntry | None,
        request: PendingRequest,
        recording: CallRecording,
    ) -> None:
        self._moderator = moderator
        self._cache_entry = cache_entry
        self._request = request
        self._recording = recording

    def run(self, call: Ticks[ChatResult]) -> Ticks[ChatResult]:
        """Return the cached answer, if any. Otherwise run `call`, then moderate and cache its answer.

        Raises:
            UpstreamError, CallerGone: see Moderator.check_input().
        """
        cached = yield from self._begin()
        if cached is not None:
            return cached
        result = yield from call
        if self._moderator.checks_output:
            yield from self._moderator.check_output(result, self._request)
        if self._cache_entry is not None:
            self._cache_entry.write(result)
        return result

    def stream(self, opening: Ticks[StreamedAnswer], *, is_structured: bool = False) -> Ticks[StreamedAnswer]:
        """Return the cached answer, if any, as a stream. Otherwise run `opening`, without output moderation.

        Args:
            opening: opens the upstream's stream.
            is_structured: whether the answer is streamed as a structured value.

        Raises:
            UpstreamError, CallerGone: see Moderator.check_input().
        """
        cached = yield from self._begin()
        if cached is not None:
            return replay_cached(cached, is_structured=is_structured)
        answer = yield from opening
        # If output is moderated, an answer that was not moderated must not enter the cache.
        if self._cache_entry is None or self._moderator.checks_output:
            return answer
        return self._cache_entry.write_through(answer)

    def _begin(self) -> Ticks[ChatResult | None]:
        """Moderate the conversation, and return the cached answer, if any."""
        if self._moderator.checks_input:
            yield from self._moderator.check_input(self._request)
        cached = None if self._cache_entry is None else self._cache_entry.read()
        if cached is not None:
            self._recording.use_cached(cached.model)
        return cached
