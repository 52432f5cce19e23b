"""Prepare the images and files of all turns of a conversation for the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.media.data_urls import EmbeddedUrl
from app.media.documents import PdfReading, PdfRules
from app.media.images import ImageBounds, ImageNormalizer, ImageRules, find_bounds
from app.problems import InvalidRequest
from app.prompts.selection import PromptSelection
from app.runtime.turns import in_turns
from app.web.media.files import choose_name, read_file
from app.web.media.images import normalize_bytes, normalize_image
from app.web.media.parts import find_media
from app.web.media.work import MediaWork
from app.web.schemas.fields import PromptFields
from app.web.schemas.messages import ConversationRequest

MAX_MEDIA = 50
"""The maximum number of images and files in all turns together."""

# Cheapest first. With `auto` the model chooses, up to its maximum.
_DETAILS = ("low", "high", "auto", "original")


def _format_path(message_index: int, part_index: int, kind: str) -> str:
    return f"messages.{message_index}.content.{part_index}.{kind}"


class MediaIntake:
    """Prepares the images and files of one request.

    Attributes:
        adjusted: the parameters that were changed, with their values, for X-Params-Adjusted.
    """

    def __init__(
        self, begin_work: Callable[[], MediaWork], embedded: Mapping[str, EmbeddedUrl] | None = None
    ) -> None:
        """Create an intake, which does no work yet.

        Args:
            begin_work: checks that the caller may send images and files, and returns how to prepare them. It is called
                only if the request has one.
            embedded: the images and files that were cut out of the body, by placeholder.
        """
        self._begin_work = begin_work
        self._embedded = embedded or {}
        self.adjusted: dict[str, str] = {}

    def begin(
        self, body: PromptFields, operation: str, model: str | None, prompts: PromptSelection
    ) -> Preparation:
        """Return an object that prepares the images and files of one conversation, one by one.

        Args:
            body: may select a stored prompt, which may name a model.
            operation: the operation whose default model is used if no model is named.
            model: the model that the client requested.
            prompts: the prompts that this user may use.

        Raises:
            Forbidden, Unauthenticated: the caller may not send images or files, or may not use this prompt.
            InvalidRequest: the prompt does not exist.
        """
        prompt, work = prompts.select(body), self._begin_work()
        model = (prompt.model if prompt is not None else None) or model or work.settings.models[operation]
        return Preparation(work, model, self._embedded, self.adjusted)

    def prepare(
        self,
        body: ConversationRequest,
        operation: str,
        model: str | None,
        prompts: PromptSelection,
        format_path: Callable[[int, int, str], str] = _format_path,
    ) -> None:
        """Prepare the images and files in a body's messages, and replace them in place.

        Args:
            body: a validated body, which is modified.
            operation: as in begin().
            model: as in begin().
            prompts: as in begin().
            format_path: returns the path of a part, from the index of its message, its own index and its type.

        Raises:
            InvalidRequest, InvalidImageInput: there are too many images and files, or one cannot be used.
            ImagesBusy, FilesBusy: the images or files of other requests took too long.
            CallerGone, Draining: the client has disconnected in the meantime, or the server must shut down.
            the errors of begin().
        """
        media = list(find_media(body.messages))
        if not media:
            return
        if len(media) > MAX_MEDIA:
            raise InvalidRequest(f"must have at most {MAX_MEDIA} images and files in all.", field="messages")
        preparation = self.begin(body, operation, model, prompts)
        for message_index, part_index, part in in_turns(media):
            kind = part["type"]
            fields, where = part[kind], format_path(message_index, part_index, kind)
            if kind == "image_url":
                keeps_size = fields.get("keeps_size", False)
                part[kind] = preparation.prepare_image(
                    fields["url"], fields.get("detail"), where, keeps_size=keeps_size
                )
            else:
                part[kind] = preparation.prepare_file(fields, where)


class Preparation:
    """Prepares the images and files of one conversation, one by one."""

    def __init__(
        self, work: MediaWork, model: str, embedded: Mapping[str, EmbeddedUrl], adjusted: dict[str, str]
    ) -> None:
        self._work = work
        self._model = model
        self._embedded = embedded
        self._adjusted = adjusted
        self._pages_left = work.settings.max_file_pages

    def prepare_image(
        self, url: str, detail: str | None, where: str, *, keeps_size: bool = False
    ) -> dict[str, str]:
        """Return the URL and the detail of an image as they are sent to the model.

        Args:
            url: the URL in the body, or the placeholder of one that was cut out of it.
            detail: the requested detail; None if none was.
            where: the image's path in the body.
            keeps_size: whether the image must not be scaled, at any detail.
        """
        detail, normalizer = self._make_normalizer(detail, keeps_size=keeps_size)
        return {"url": normalize_image(url, self._embedded.get(url), where, normalizer), "detail": detail}

    def prepare_upload(self, data: bytes, detail: str | None, where: str) -> dict[str, str]:
        """Return the URL and the detail of an uploaded image."""
        detail, normalizer = self._make_normalizer(detail)
        return {"url": normalize_bytes(data, where, normalizer), "detail": detail}

    def prepare_file(self, file: Mapping[str, str], where: str) -> dict[str, str]:
        """Return the name and the content of a file as they are sent to the model.

        Args:
            file: its `file_data`, or the placeholder of data that was cut out of the body, and its `filename`, if given.
            where: the file's path in the body.
        """
        settings, data = self._work.settings, file["file_data"]
        rules = PdfRules(settings.max_file_bytes, self._pages_left, is_moderated=settings.are_moderated)
        reading = PdfReading(rules, self._work.document_processes, self._work.claim)
        url = read_file(data, self._embedded.get(data), where, reading)
        self._pages_left -= url.pages
        return {"filename": choose_name(file), "file_data": url}

    def _make_normalizer(self, requested: str | None, *, keeps_size: bool = False) -> tuple[str, ImageNormalizer]:
        """Return the detail to send to the model, at most the site's maximum, and a normalizer for that detail."""
        settings = self._work.settings
        detail = min(requested or "auto", settings.max_detail, key=_DETAILS.index)
        if requested not in (None, detail):
            self._adjusted["detail"] = detail
        bounds = ImageBounds() if keeps_size else find_bounds(self._model, detail)
        rules = ImageRules(settings.max_bytes, settings.max_pixels, bounds)
        return detail, ImageNormalizer(rules, self._work.image_processes, self._work.claim)
