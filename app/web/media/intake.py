"""Prepare the images and files of a conversation for the model: those of all its turns."""

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
"""Images and files of all turns together: a conversation about pictures goes on for a while."""

# From the cheapest; `auto` is what the model chooses, up to all that it can see.
_DETAILS = ("low", "high", "auto", "original")


def _name_part(place: int, number: int, kind: str) -> str:
    return f"messages.{place}.content.{number}.{kind}"


class MediaIntake:
    """Prepares the images and files of one request.

    Attributes:
        adjusted: what was changed of the caller's wishes, for X-Params-Adjusted.
    """

    def __init__(
        self, begin_work: Callable[[], MediaWork], embedded: Mapping[str, EmbeddedUrl] | None = None
    ) -> None:
        """Prepare nothing yet.

        Args:
            begin_work: checks that the caller may send images and files, and says how they are prepared. It is called
                once there is one.
            embedded: what was cut out of the body, by the names that stand for it.
        """
        self._begin_work = begin_work
        self._embedded = embedded or {}
        self.adjusted: dict[str, str] = {}

    def begin(
        self, body: PromptFields, operation: str, model: str | None, prompts: PromptSelection
    ) -> Preparation:
        """Return what prepares each image and file.

        Args:
            body: selects a stored prompt, which may name a model.
            operation: whose default model answers if none is named.
            model: the one that the client asks for.
            prompts: the prompts that this user may use.

        Raises:
            Forbidden, Unauthenticated: the caller may not send images or files, or not use this prompt.
            InvalidRequest: there is no such prompt.
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
        name_part: Callable[[int, int, str], str] = _name_part,
    ) -> None:
        """Replace the images and files in a body's messages, in place, by what the model gets.

        Args:
            body: a validated one, which nobody else has.
            operation: as of begin(), as are the next two.
            model: the one that the client asks for.
            prompts: the prompts that this user may use.
            name_part: returns the path of a part in the body, from the places of its message and of itself, and its type.

        Raises:
            InvalidRequest, InvalidImageInput: there are too many, or one cannot be used.
            ImagesBusy, FilesBusy: others took too long.
            CallerGone, Draining: the client has disconnected meanwhile, or the server has to stop.
            the errors of begin().
        """
        media = list(find_media(body.messages))
        if not media:
            return
        if len(media) > MAX_MEDIA:
            raise InvalidRequest(f"must have at most {MAX_MEDIA} images and files in all.", field="messages")
        preparation = self.begin(body, operation, model, prompts)
        for place, number, part in in_turns(media):
            kind = part["type"]
            fields, where = part[kind], name_part(place, number, kind)
            if kind == "image_url":
                keeps_size = fields.get("keeps_size", False)
                part[kind] = preparation.prepare_image(
                    fields["url"], fields.get("detail"), where, keeps_size=keeps_size
                )
            else:
                part[kind] = preparation.prepare_file(fields, where)


class Preparation:
    """Prepares the images and files of one conversation, one after the other."""

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
        """Return the URL and the detail of an image, as the model gets it.

        Args:
            url: of the image, or the name that stands for it in the body.
            detail: as asked for; None if it is not.
            where: the image's path in the body.
            keeps_size: whether it may not be scaled, however closely it is looked at.
        """
        detail, normalizer = self._make_normalizer(detail, keeps_size=keeps_size)
        return {"url": normalize_image(url, self._embedded.get(url), where, normalizer), "detail": detail}

    def prepare_upload(self, data: bytes, detail: str | None, where: str) -> dict[str, str]:
        """Return the URL and the detail of an uploaded image."""
        detail, normalizer = self._make_normalizer(detail)
        return {"url": normalize_bytes(data, where, normalizer), "detail": detail}

    def prepare_file(self, file: Mapping[str, str], where: str) -> dict[str, str]:
        """Return the name and the content of a file, as the model gets it.

        Args:
            file: its `file_data`, or the name that stands for it in the body, and its `filename`, if that is given.
            where: its path in the body.
        """
        settings, data = self._work.settings, file["file_data"]
        rules = PdfRules(settings.max_file_bytes, self._pages_left, is_moderated=settings.are_moderated)
        reading = PdfReading(rules, self._work.document_processes, self._work.claim)
        url = read_file(data, self._embedded.get(data), where, reading)
        self._pages_left -= url.pages
        return {"filename": choose_name(file), "file_data": url}

    def _make_normalizer(self, asked: str | None, *, keeps_size: bool = False) -> tuple[str, ImageNormalizer]:
        """Return the detail at which an image is looked at, and what normalizes the image for that."""
        settings = self._work.settings
        detail = min(asked or "auto", settings.max_detail, key=_DETAILS.index)
        if asked not in (None, detail):
            self._adjusted["detail"] = detail
        bounds = ImageBounds() if keeps_size else find_bounds(self._model, detail)
        rules = ImageRules(settings.max_bytes, settings.max_pixels, bounds)
        return detail, ImageNormalizer(rules, self._work.image_processes, self._work.claim)
