"""Check an image's URL, and normalize an uploaded image for the model."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from app.media.data_urls import EmbeddedUrl, find_base64
from app.media.images import ImageNormalizer, UnusableImage
from app.problems import Problem

MAX_IMAGES = 10
_MAX_URL_CHARS = 2_048
_NOT_BASE64 = "must be a data: URL in base64."
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,62})\.)+[a-z0-9]([a-z0-9-]{0,62})")


class InvalidImageInput(Problem):
    """An image has an unknown format, is damaged or too large, or its URL is not allowed."""

    status = 400
    code = "invalid_image"
    sentence = "The image cannot be used."
    message_is_safe = True


def normalize_bytes(data: bytes, where: str, normalizer: ImageNormalizer) -> str:
    """Normalize an uploaded image to a data URL that OpenAI accepts. Its name and declared type are ignored.

    Raises:
        InvalidImageInput: the image cannot be used.
    """
    with _name_image_in_errors(where):
        return normalizer.normalize(data).data_url


def normalize_image(url: str, cut: EmbeddedUrl | None, where: str, normalizer: ImageNormalizer) -> str:
    """Return the URL of an image as it is sent to the model.

    Args:
        url: as in the body, or the placeholder of one that was cut out of the body.
        cut: the data URL or base64 that was cut out; None if nothing was.
        where: the image's path in the body.
        normalizer: normalizes images for the model.

    Raises:
        InvalidImageInput: the image cannot be used.
        the errors of ImageNormalizer.normalize().
    """
    return _normalize_url(url, where, normalizer) if cut is None else _normalize_cut(cut, where, normalizer)


def _normalize_url(url: str, where: str, normalizer: ImageNormalizer) -> str:
    """Return an https URL unchanged (it is never fetched here), or normalize a data URL.

    Raises:
        InvalidImageInput: the URL is neither, or it points to a private network, or the image cannot be used.
    """
    if url[:5].lower() == "data:":
        encoded = find_base64(url)
        if encoded is None:
            raise InvalidImageInput(_NOT_BASE64, field=where)
        with _name_image_in_errors(where):
            return normalizer.normalize_base64(encoded).data_url
    if len(url) > _MAX_URL_CHARS:
        raise InvalidImageInput(f"must be at most {_MAX_URL_CHARS} characters long.", field=where)
    if not _is_public_https(url):
        raise InvalidImageInput("must be a public https:// URL or a data: URL.", field=where)
    return url


def _normalize_cut(url: EmbeddedUrl, where: str, normalizer: ImageNormalizer) -> str:
    """Normalize a data URL, or base64, that was cut out of a body.

    Raises:
        InvalidImageInput: the data is not base64, or the image cannot be used.
    """
    content = url.find_base64()
    if content is None:
        raise InvalidImageInput(_NOT_BASE64, field=where)
    with _name_image_in_errors(where):
        return normalizer.normalize_base64(content, is_escaped=url.is_escaped).data_url


@contextmanager
def _name_image_in_errors(where: str) -> Iterator[None]:
    """Turn errors in the block into ones for the caller, with the path of the image."""
    try:
        yield
    except UnusableImage as error:
        raise InvalidImageInput(str(error), field=where) from None


def _is_public_https(url: str) -> bool:
    if not url.isascii() or any(char <= " " or char in '<>"\\^`{|}\x7f' for char in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme != "https" or not host or "@" in parts.netloc or port not in (None, 443):
        return False
    if not _HOST.fullmatch(host):
        return False
    # Names with these endings exist on private networks only.
    if host.endswith((".localhost", ".local", ".internal", ".home.arpa")):
        return False
    return not _is_address(host)


def _is_address(host: str) -> bool:
    """Return whether a host is an IP address in any notation that resolvers accept: 127.1, 0x7f.1, 2130706433."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        last_label = host.rsplit(".", 1)[-1]
        return last_label.isdigit() or last_label.startswith("0x")
    return True
