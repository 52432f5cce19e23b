"""ChatPipeline: what goes on around the answer to one conversation: moderation before and behind it, and the cache."""

from __future__ import annotations

from app.openai_service.call_recording import CallRecording
from app.openai_service.chat.moderation import Moderator
from app.openai_service.chat.response_cache import CacheEntry, replay_cached
from app.openai_service.results import ChatResult
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest


class ChatPipeline:
    """Made before the request is sent, or changed.

    Args:
        place: where the answer is kept; None where the caller did not ask for that.
    """

    def __init__(
        self, moderator: Moderator, place: CacheEntry | None, request: PendingRequest, recording: CallRecording
    ) -> None:
        self._moderator = moderator
        self._place = place
        self._request = request
        self._recording = recording

    def whole(self, asking: Ticks[ChatResult]) -> Ticks[ChatResult]:
        """Answer in one piece: return the cached answer, if any, at no cost, or else a new one that was moderated.

        Raises:
            UpstreamError, CallerGone: as Moderator.check_input() and check_output() do.
        """
        kept = yield from self._begin()
        if kept is not None:
            return kept
        result = yield from asking
        if self._moderator.checks_output:
            yield from self._moderator.check_output(result, self._request)
        if self._place is not None:
            self._place.write(result)
        return result

    def stream(self, asking: Ticks[StreamedAnswer], *, fills: bool = False) -> Ticks[StreamedAnswer]:
        """An answer that comes as it is written, which nobody looks at before.

        Args:
            fills: whether it comes as the value that fills a schema.
        Raises:
            UpstreamError, CallerGone: as Moderator.check_input() does.
        """
        kept = yield from self._begin()
        if kept is not None:
            return replay_cached(kept, fills=fills)
        answer = yield from asking
        if (
            self._place is None or self._moderator.checks_output
        ):  # what nobody has looked at is not kept for others
            return answer
        return self._place.write_through(answer)

    def _begin(self) -> Ticks[ChatResult | None]:
        """Moderate the conversation, and return the cached answer, if any."""
        if self._moderator.checks_input:
            yield from self._moderator.check_input(self._request)
        kept = None if self._place is None else self._place.read()
        if kept is not None:
            self._recording.use_cached(kept.model)
        return kept
