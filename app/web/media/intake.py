"""Prepare the images of a conversation for the model: those of all its turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.data_urls import EmbeddedUrl
from app.images import ImageNormalizer, ImageRules, find_bounds
from app.problems import InvalidRequest
from app.prompts.selection import PromptSelection
from app.runtime.turns import in_turns
from app.web.media.images import normalize_image
from app.web.media.parts import find_media
from app.web.media.work import MediaWork
from app.web.schemas.messages import ConversationRequest

MAX_IMAGES_OF_CONVERSATION = 50
"""Of all turns together: a conversation about pictures goes on for a while."""


class MediaIntake:
    """Prepares the images of one request.

    Attributes:
        adjusted: what was changed of the caller's wishes, for X-Params-Adjusted.
    """

    def __init__(
        self, begin_work: Callable[[], MediaWork], embedded: Mapping[str, EmbeddedUrl] | None = None
    ) -> None:
        """Prepare nothing yet.

        Args:
            begin_work: checks that the caller may send images, and says how they are prepared. It is called once there
                is an image.
            embedded: the data URLs that were cut out of the body, by the names that stand for them.
        """
        self._begin_work = begin_work
        self._embedded = embedded or {}
        self.adjusted: dict[str, str] = {}

    def prepare(
        self,
        body: ConversationRequest,
        operation: str,
        model: str | None,
        prompts: PromptSelection,
        *,
        where: str = "messages",
    ) -> None:
        """Replace the images in a body's messages, in place, by what the model gets.

        Args:
            body: a validated one, which nobody else has.
            operation: whose default model answers if none is named.
            model: the one that the client asks for.
            prompts: the prompts that this user may use; one may name a model.
            where: the path of the messages in the body.

        Raises:
            Forbidden, Unauthenticated: the caller may not send images, or not use this prompt.
            InvalidRequest, InvalidImageInput: there are too many, or one cannot be used.
            ImagesBusy: other images took too long.
            CallerGone, Draining: the client has disconnected meanwhile, or the server has to stop.
        """
        media = list(find_media(body.messages))
        if not media:
            return
        if len(media) > MAX_IMAGES_OF_CONVERSATION:
            raise InvalidRequest(f"must have at most {MAX_IMAGES_OF_CONVERSATION} images in all.", field=where)
        prompt = prompts.select(body)
        work = self._begin_work()
        model = (prompt.model if prompt is not None else None) or model or work.settings.models[operation]
        for place, number, part in in_turns(media):
            part["image_url"] = self._prepare_image(
                part["image_url"], work, model, f"{where}.{place}.content.{number}.image_url"
            )

    def _prepare_image(self, image: Mapping[str, str], work: MediaWork, model: str, where: str) -> dict[str, str]:
        detail = image.get("detail", "auto")
        rules = ImageRules(work.settings.max_bytes, work.settings.max_pixels, find_bounds(model, detail))
        normalizer = ImageNormalizer(rules, work.processes, work.claim)
        url = normalize_image(image["url"], self._embedded.get(image["url"]), where, normalizer)
        return {"url": url, "detail": detail}
