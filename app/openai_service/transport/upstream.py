"""Upstream: the API that is called and its dialect, of OpenAI, Azure, a compatible server or the offline model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from app.config import UpstreamSettings
from app.config.upstream_urls import is_azure, is_openai
from app.openai_service.transport.request_bodies import RESPONSES_PATH

AZURE_V1 = "/v1"
"""The path of Azure's API without a dated version, below /openai. There the body has the model, as at OpenAI."""

_OPENAI_HOST = "api.openai.com"

Kind = Literal["openai", "azure", "compatible", "offline"]
Api = Literal["auto", "chat", "responses"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """An API and its dialect.

    Attributes:
        kind: the dialect.
        address: the configured base URL; empty for OpenAI and the offline model.
        api: the API for conversations; `auto` chooses it by the model and the request, if the upstream has both.
    """

    kind: Kind
    address: str
    api: Api = "auto"

    @classmethod
    def from_settings(cls, settings: UpstreamSettings) -> Upstream:
        """Return the upstream that the settings configure."""
        if settings.azure_endpoint:
            return cls("azure", settings.azure_endpoint, settings.api)
        if settings.base_url:
            return cls("compatible", settings.base_url, settings.api)
        return cls("offline" if settings.is_offline else "openai", "", settings.api)

    @property
    def breaker_key(self) -> str:
        """Distinguishes the circuits of its models from those of other upstreams."""
        return self.address

    @property
    def cache_key(self) -> list[object]:
        """Distinguishes its cached answers from those of other upstreams."""
        return [self.kind == "offline", self.address]

    @property
    def offers_batches(self) -> bool:
        """Whether it may have a Batch API. Azure's is not used, as it needs special deployments."""
        return self.kind != "azure"

    @property
    def has_openai_models(self) -> bool:
        """Whether models have OpenAI's names. On Azure, they have the names of deployments."""
        return self.kind in ("openai", "compatible")

    @property
    def has_responses(self) -> bool:
        """Whether it is known to have /responses, and models that need it. Other servers may have it as well."""
        return self.kind != "compatible" or is_openai(self.address) or is_azure(self.address)

    @property
    def has_families(self) -> bool:
        """Whether a model's family follows from its name. It does not on Azure, where deployments have arbitrary names."""
        return self.kind != "azure"

    @property
    def has_openai_fields(self) -> bool:
        """Whether it certainly accepts OpenAI's newer fields. Of custom base URLs, only OpenAI's own hosts do."""
        host = urlsplit(self.address).hostname or ""
        return self.kind != "compatible" or host == _OPENAI_HOST or host.endswith(f".{_OPENAI_HOST}")

    def path(self, operation_path: str, model: str) -> str:
        """Return the path of an operation. On Azure it is below the model's deployment, except for /responses.

        The SDK would add the deployment only if it got the body as an object.
        """
        if self.kind == "azure" and operation_path == RESPONSES_PATH:
            return f"{AZURE_V1}{operation_path}"
        if self.kind == "azure":
            return f"/deployments/{quote(model, safe='')}{operation_path}"
        return operation_path
