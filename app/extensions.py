"""How to get what the factory built."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from app.config import Config
from app.openai_service import OpenAIService
from app.schemas.prompting import SystemPrompts

_KEY = "gatehouse"


@dataclass(frozen=True, slots=True)
class _Built:
    config: Config
    service: OpenAIService
    prompts: SystemPrompts


def install(app: Flask, config: Config, service: OpenAIService) -> None:
    prompts = SystemPrompts(own=config.system_prompt, client_may_write=config.allow_client_system_prompt)
    app.extensions[_KEY] = _Built(config, service, prompts)


def config() -> Config:
    return _built().config


def openai_service() -> OpenAIService:
    return _built().service


def system_prompts() -> SystemPrompts:
    return _built().prompts


def _built() -> _Built:
    built: _Built = current_app.extensions[_KEY]
    return built
