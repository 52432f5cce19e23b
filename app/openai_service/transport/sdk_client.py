"""Builds the official OpenAI client for OpenAI, Azure, a compatible server or the offline model."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import orjson

from app.config import ConnectionSettings
from app.config.upstream_urls import split_version
from app.openai_service.errors import UpstreamError
from app.openai_service.resilience.key_ring import KeyRing
from app.openai_service.transport.sdk import FinalRequestOptions, openai
from app.openai_service.transport.sdk_errors import translate
from app.openai_service.transport.upstream import AZURE_V1
from app.upstream_http.client import HEAD, UpstreamClient, serialize_head

_OPENAI_URL = "https://api.openai.com/v1"
_OFFLINE_URL = "http://offline.invalid/v1"
_STREAM = openai.Stream[Any]  # subscripting it takes a dozen calls
_NO_HEADERS = httpx2.Headers()  # httpx2 takes longer for None
_LENGTH = b"content-length"


class _Prepared:
    """A request built by the SDK, which is copied for each body."""

    # private API: _list of httpx2.Headers, _content and the __dict__ of httpx2.Request; guarded by
    # tests/openai_service/transport/test_prepared_requests.py

    def __init__(self, request: httpx2.Request) -> None:
        self.request = request
        self._headers = [header for header in request.headers._list if header[1] != _LENGTH]

    @cached_property
    def _head(self) -> bytes:
        """The beginning of its serialized head, without the headers that differ between copies."""
        lines = serialize_head(self.request).split(b"\r\n")[:-2]
        return b"".join([line + b"\r\n" for line in lines if not line.lower().startswith(_LENGTH)])

    def copy(self, content: bytes, traceparent: str) -> httpx2.Request:
        """Return a copy with this body. It shares the encoded headers, as encoding them takes most of the time."""
        differing = [(b"Content-Length", _LENGTH, b"%d" % len(content))]
        if traceparent:
            differing.append((b"traceparent", b"traceparent", traceparent.encode()))
        # With an encoding, as httpx2 would otherwise decode all headers to detect it.
        headers = httpx2.Headers(_NO_HEADERS, encoding="ascii")
        headers._list = self._headers + differing
        lines = [b"%b: %b\r\n" % (name, value) for name, _, value in differing]
        request = httpx2.Request.__new__(httpx2.Request)
        request.__dict__.update(
            self.request.__dict__,
            headers=headers,
            extensions={**self.request.extensions, HEAD: b"".join([self._head, *lines, b"\r\n"])},
            stream=httpx2.ByteStream(content),
            _content=content,  # otherwise httpx2 reads it from the stream
        )
        return request


class _Client(openai.OpenAI):
    """The SDK's client, which prepares URL and headers once for each path instead of once for each call.

    Preparing them takes most of a call's time. There are only a few paths; on Azure, a few for each model.
    """

    # private API: _prepare_options, _build_request, _prepare_request, _custom_auth, _send_request, _client and
    # _make_status_error_from_response of openai.OpenAI; guarded by tests/openai_service/transport/test_prepared_requests.py

    keys: KeyRing[_Client]
    """All keys of the site, including this client's. The sender chooses one for each request."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._prepared: dict[str, _Prepared] = {}
        super().__init__(*args, **settings)

    def post_bytes(self, path: str, content: bytes, *, stream: bool, traceparent: str = "") -> httpx2.Response:
        """Send a POST like `post(path, cast_to=httpx2.Response, content=…)`, and return the response, a stream unread.

        It omits steps of the SDK's `request()` that are not needed here: copying the options for retries, and refreshing
        credentials.

        Raises:
            openai.APIConnectionError: there was no response; APITimeoutError if it took too long.
            openai.APIStatusError: the response is an error.
        """
        prepared = self._prepared.get(path) or self.prepare(path)
        request = prepared.copy(content, traceparent)
        try:
            response = self._client.send(request, stream=stream)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=request) from error
        except (httpx2.RequestError, ssl.SSLError) as error:
            raise openai.APIConnectionError(request=request) from error
        if 200 <= response.status_code < 300:
            return response
        response.read()
        raise self._make_status_error_from_response(response)

    def prepare(self, path: str) -> _Prepared:
        """Let the SDK build a request to a path, with URL, credentials and headers, and store it."""
        options = super()._prepare_options(FinalRequestOptions.construct(method="post", url=path, content=b"{}"))
        self._prepared[path] = prepared = _Prepared(super()._build_request(options))
        return prepared

    # The SDK needs these methods for providers and workload identities, which are not used here.

    def _prepare_request(self, request: httpx2.Request) -> None:
        pass

    def _custom_auth(self, security: Any) -> None:  # noqa: ARG002
        return None

    def _send_request(self, request: httpx2.Request, *, stream: bool, **settings: Any) -> httpx2.Response:
        return self._client.send(request, stream=stream, **settings)

    def send_json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> httpx2.Response:
        """Send a request of any method without the SDK's typed layer. The path may have a query."""
        content = None if body is None else orjson.dumps(body)
        options = FinalRequestOptions.construct(method=method, url=path, content=content)
        response: httpx2.Response = self.request(  # type: ignore[assignment]
            httpx2.Response, options, stream=stream, stream_cls=_STREAM
        )
        return response

    def send_file(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> httpx2.Response:
        """Upload a file, with other form fields."""
        options = FinalRequestOptions.construct(
            method="post",
            url=path,
            headers={"Content-Type": "multipart/form-data"},
            json_data=dict(fields),
            files={"file": (name, content, "application/jsonl")},
        )
        return self.request(httpx2.Response, options)


class BatchSender:
    """Sends the requests of the Batch API, each with the first key that the upstream accepts for it."""

    def __init__(self, keys: KeyRing[_Client]) -> None:
        self._keys = keys

    def send_json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> httpx2.Response:
        """Send a request as _Client.send_json() does."""
        return self._keys.try_each(
            lambda client: client.send_json(method, path, body, stream=stream), _read_refusal
        )

    def send_file(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> httpx2.Response:
        """Upload a file as _Client.send_file() does."""
        return self._keys.try_each(lambda client: client.send_file(path, fields, name, content), _read_refusal)


def _read_refusal(error: Exception) -> UpstreamError | None:
    return translate(error) if isinstance(error, openai.APIStatusError) else None


class _AzureClient(_Client, openai.AzureOpenAI):
    def prepare(self, path: str) -> _Prepared:
        """Remove the version from URLs of Azure's v1 API, which refuses dated versions."""
        prepared = super().prepare(path)
        if path.startswith(f"{AZURE_V1}/"):
            prepared.request.url = prepared.request.url.copy_with(query=None)
        return prepared


def build_client(
    settings: ConnectionSettings, http_client: httpx2.Client | None = None, *, offline_dir: Path | None = None
) -> _Client:
    """Build the client of the first key for this process. Its `keys` holds the clients of all keys.

    All clients share one HTTP client. They have `max_retries=0`, as `resilience/` retries, and `timeout=None`, as `CallState`
    limits the time.

    Args:
        settings: the API that is called, and its credentials.
        http_client: replaces `UpstreamClient` in tests.
        offline_dir: where the offline model stores files, shared by all processes that use it.

    Raises:
        ValueError: the environment names a proxy whose scheme is not http, or OFFLINE_MODEL_AS an unknown model.
    """
    upstream = settings.upstream
    url = upstream.azure_endpoint or (_OFFLINE_URL if upstream.is_offline else upstream.base_url or _OPENAI_URL)
    url, version = split_version(url)
    if http_client is None:
        http_client = _make_http_client(url, settings, offline_dir)
    # A compatible server may need no key, but the SDK requires one.
    clients = [_make_client(url, version, settings, key, http_client) for key in settings.api_keys or ("none",)]
    keys = KeyRing(clients)
    for client in clients:
        client.keys = keys
    return clients[0]


def _make_client(
    url: str, version: str, settings: ConnectionSettings, api_key: str, http_client: httpx2.Client
) -> _Client:
    if settings.upstream.azure_endpoint:
        return _AzureClient(
            azure_endpoint=url,
            api_version=settings.azure_api_version,
            api_key=api_key,
            max_retries=0,
            timeout=None,
            http_client=http_client,
        )
    return _Client(
        base_url=url,
        api_key=api_key,
        organization=settings.organization or None,
        default_query={"api-version": version} if version else None,
        max_retries=0,
        timeout=None,
        http_client=http_client,
    )


def _make_http_client(url: str, settings: ConnectionSettings, offline_dir: Path | None) -> httpx2.Client:
    if settings.upstream.is_offline:
        return _make_offline_client(offline_dir, settings.offline_model_as)
    return UpstreamClient(url, connect_timeout_s=settings.connect_timeout_s)


def _make_offline_client(directory: Path | None, plays: str) -> httpx2.Client:
    # Imported here, as it is needed only without a key.
    from app.offline_model import create_offline_model

    offline_model = create_offline_model(directory=directory, plays=plays)
    return httpx2.Client(transport=httpx2.WSGITransport(app=offline_model), trust_env=False)
