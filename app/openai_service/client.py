"""build_client(): the official OpenAI client, for OpenAI, a compatible server, Azure, or the offline model."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import httpx2
import orjson

from app.config import Config
from app.openai_service.http_client import UpstreamClient
from app.openai_service.transport.sdk import FinalRequestOptions, openai

_OPENAI_URL = "https://api.openai.com/v1"
_OFFLINE_URL = "http://offline.invalid/v1"
_MAX_URLS = 256


class _Client(openai.OpenAI):
    """Prepares once for each path what the SDK would make anew for each call, at a third of the call's cost.

    There are a handful of paths; on Azure, as many for each model that is offered. Those of batches and files come
    and go.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._urls: dict[str, httpx2.URL] = {}
        self._options: dict[str, FinalRequestOptions] = {}
        super().__init__(*args, **settings)

    def _prepare_url(self, url: str) -> httpx2.URL:
        if url not in self._urls:
            if len(self._urls) >= _MAX_URLS:
                self._urls.clear()
            self._urls[url] = super()._prepare_url(url)
        return self._urls[url]

    def post_bytes(self, path: str, content: bytes, *, stream: bool) -> httpx2.Response:
        """What `post(path, cast_to=httpx2.Response, content=…)` does: the answer as it came, streams unread."""
        if path not in self._options:
            self._options[path] = FinalRequestOptions.construct(method="post", url=path)
        options = copy(self._options[path])
        options.content = content
        response: httpx2.Response = self.request(  # type: ignore[assignment]
            httpx2.Response, options, stream=stream, stream_cls=openai.Stream[Any]
        )
        return response

    def send_json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> httpx2.Response:
        """A request of any method, past the typed layer as well; a path may have a query."""
        content = None if body is None else orjson.dumps(body)
        options = FinalRequestOptions.construct(method=method, url=path, content=content)
        response: httpx2.Response = self.request(  # type: ignore[assignment]
            httpx2.Response, options, stream=stream, stream_cls=openai.Stream[Any]
        )
        return response

    def send_file(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> httpx2.Response:
        """Upload a file, with other fields of its form."""
        options = FinalRequestOptions.construct(
            method="post",
            url=path,
            headers={"Content-Type": "multipart/form-data"},
            json_data=dict(fields),
            files={"file": (name, content, "application/jsonl")},
        )
        return self.request(httpx2.Response, options)


class _AzureClient(_Client, openai.AzureOpenAI):
    pass


def build_client(
    config: Config, http_client: httpx2.Client | None = None, *, offline_dir: Path | None = None
) -> _Client:
    """Make the one client of this process.

    Retrying is ours, hence `max_retries=0`; time limits are the Exchange's, hence no timeout here.

    Args:
        http_client: stands in for our own, as the offline model and tests do.
        offline_dir: where the offline model keeps files, for all processes that use it.
    Raises:
        ValueError: the environment names a proxy of a kind that is not supported.
    """
    if config.azure_openai_endpoint:
        return _AzureClient(
            azure_endpoint=config.azure_openai_endpoint,
            api_version=config.azure_openai_api_version,
            api_key=config.openai_api_key,
            max_retries=0,
            timeout=None,
            http_client=http_client or _own_client(config.azure_openai_endpoint, config, offline_dir),
        )
    base_url = _OFFLINE_URL if config.is_offline else config.openai_base_url or _OPENAI_URL
    return _Client(
        base_url=base_url,
        # A compatible server may want no key, but the SDK wants one.
        api_key=config.openai_api_key or "none",
        organization=config.openai_org_id or None,
        max_retries=0,
        timeout=None,
        http_client=http_client or _own_client(base_url, config, offline_dir),
    )


def _own_client(url: str, config: Config, offline_dir: Path | None) -> httpx2.Client:
    if config.is_offline:
        return _offline_client(offline_dir)
    return UpstreamClient(url, connect_timeout_s=config.connect_timeout_s)


def _offline_client(directory: Path | None) -> httpx2.Client:
    # Imported here: with a key, none of it is needed.
    from app.offline_model import create_offline_model

    return httpx2.Client(
        transport=httpx2.WSGITransport(app=create_offline_model(directory=directory)), trust_env=False
    )
