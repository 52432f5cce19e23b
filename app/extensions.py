"""How to get what the factory built."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from app.config import Config
from app.lifecycle import Lifecycle
from app.openai_service import OpenAIService
from app.schemas.prompting import SystemPrompts
from app.shared_state import SharedState
from app.stream_slots import StreamSlots

_KEY = "gatehouse"


@dataclass(frozen=True, slots=True)
class _Built:
    config: Config
    service: OpenAIService
    prompts: SystemPrompts
    slots: StreamSlots
    state: SharedState
    lifecycle: Lifecycle

    def close(self) -> None:
        """Let go of what outlives a request: the last thing that a process does."""
        self.service.close()
        self.state.close()


def install(app: Flask, config: Config, service: OpenAIService, state: SharedState) -> None:
    app.extensions[_KEY] = _Built(
        config=config,
        service=service,
        prompts=SystemPrompts(own=config.system_prompt, client_may_write=config.allow_client_system_prompt),
        slots=StreamSlots(state, limit=config.max_concurrent_streams),
        state=state,
        lifecycle=Lifecycle(),
    )


def config() -> Config:
    return _built().config


def openai_service() -> OpenAIService:
    return _built().service


def system_prompts() -> SystemPrompts:
    return _built().prompts


def stream_slots() -> StreamSlots:
    return _built().slots


def lifecycle() -> Lifecycle:
    return _built().lifecycle


def _built() -> _Built:
    built: _Built = current_app.extensions[_KEY]
    return built
