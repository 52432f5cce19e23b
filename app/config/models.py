"""The models of each operation, and the limits of their answers and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from app.config.upstream_urls import is_openai

if TYPE_CHECKING:
    from app.config.settings import Config


ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]
ServiceTier = Literal["auto", "default", "flex", "priority", "fast"]
"""The tiers that have a price. `auto` means the setting of the key's project at OpenAI."""

REASONING_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)
VERBOSITIES: tuple[str, ...] = get_args(Verbosity)
SERVICE_TIERS: tuple[str, ...] = get_args(ServiceTier)

COMPUTER_USE = ("computer_use", "computer", "computer_use_preview")
"""The tool that operates a computer of the client: its name for both types of it, and each type."""
IMAGE_GENERATION = "image_generation"
HOSTED_TOOLS = ("web_search", "code_interpreter", "file_search", "mcp", IMAGE_GENERATION, *COMPUTER_USE)
"""The tools of OpenAI that cost something besides tokens or access other systems."""

OPENAI_FALLBACK_MODEL = "gpt-6-luna"
"""The fallback of CHAT_MODEL at OpenAI, if CHAT_FALLBACK_MODELS is unset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The models of each operation, and the limits of their answers and inputs in tokens.

    Attributes:
        answering: all models that may answer a conversation, with or without images.
        offered: by operation, the models that a request may name, the default first.
        fallbacks: by operation, the models to try after another one has failed, in order.
        max_tokens: of an answer.
        max_tokens_param: the parameter of a request that limits its answer.
        stream_options: whether streams request their usage.
        max_input_tokens: of an input; 0 if only the model's context window limits it.
        reasoning_effort, verbosity, service_tier: of a request that sets none; None means the model's default.
    """

    answering: tuple[str, ...]
    offered: Mapping[str, tuple[str, ...]]
    fallbacks: Mapping[str, tuple[str, ...]]
    max_tokens: int
    max_tokens_param: str
    stream_options: bool
    max_input_tokens: int
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None


def read_models(config: Config) -> ModelSettings:
    """Return the models and limits that the settings configure."""
    fallbacks, allowed = _find_fallbacks(config), config.allowed_models
    chat = (config.chat_model, *fallbacks, *allowed)
    return ModelSettings(
        answering=(config.chat_model, *fallbacks, config.vision_model, *allowed),
        offered={
            "chat": chat,
            "structured": chat,
            "vision": (config.vision_model, *allowed),
            "embeddings": (config.embedding_model, *allowed),
        },
        # Another model may not accept images, and its embeddings cannot be compared.
        fallbacks={"chat": fallbacks, "structured": fallbacks, "vision": (), "embeddings": ()},
        max_tokens=config.max_tokens,
        max_tokens_param=config.max_tokens_param,
        stream_options=config.stream_options,
        max_input_tokens=config.max_input_tokens,
        reasoning_effort=config.reasoning_effort or None,
        verbosity=config.verbosity or None,
        service_tier=config.service_tier or None,
    )


def _find_fallbacks(config: Config) -> tuple[str, ...]:
    if config.chat_fallback_models is not None:
        return config.chat_fallback_models
    # Another server, or an Azure resource without this deployment, would answer "unknown model".
    is_elsewhere = bool(config.azure_openai_endpoint) or not is_openai(config.openai_base_url)
    return () if is_elsewhere else (OPENAI_FALLBACK_MODEL,)
