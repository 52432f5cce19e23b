"""Upstream: what is particular to the API that is called: OpenAI, Azure, a compatible server, or the offline model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from app.config import Config

Kind = Literal["openai", "azure", "compatible", "offline"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """One dialect of the API, and where it is.

    Attributes:
        address: of its API as configured; empty for OpenAI's own and for the offline model.
    """

    kind: Kind
    address: str

    @classmethod
    def from_config(cls, config: Config) -> Upstream:
        """Return the upstream that the settings name."""
        if config.azure_openai_endpoint:
            return cls("azure", config.azure_openai_endpoint)
        if config.openai_base_url:
            return cls("compatible", config.openai_base_url)
        return cls("offline" if config.is_offline else "openai", "")

    @property
    def breaker_key(self) -> str:
        """What tells the circuits of its models from those of another upstream."""
        return self.address

    @property
    def cache_key(self) -> list[object]:
        """What tells its answers from those of another upstream, the offline model above all."""
        return [self.kind == "offline", self.address]

    @property
    def offers_batches(self) -> bool:
        """Whether it may have a Batch API. On Azure, batches need deployments of a kind of their own."""
        return self.kind != "azure"

    @property
    def has_openai_models(self) -> bool:
        """Whether models go by OpenAI's names. Azure's are those of deployments."""
        return self.kind in ("openai", "compatible")

    def path(self, operation_path: str, model: str) -> str:
        """Return the path of an operation: Azure has it below the model's deployment.

        The SDK would add the deployment itself if it were given the body as an object.
        """
        if self.kind == "azure":
            return f"/deployments/{quote(model, safe='')}{operation_path}"
        return operation_path
