"""A reload that cannot be tried is refused in plain words, and the server runs on."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from server.arbiter import start_check


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            subprocess.TimeoutExpired("python", 60),
            "could not be tested within 60 s: reload again under less load.",
        ),
        (OSError(12, "Cannot allocate memory"), "could not be tested: Cannot allocate memory."),
        (subprocess.CompletedProcess("python", 4, "", "MAX_TOKENS must be a whole number.\n"), "a whole number."),
        (subprocess.CompletedProcess("python", 0, "", ""), None),
    ],
)
def test_what_keeps_a_reload_is_said(monkeypatch: pytest.MonkeyPatch, outcome: Any, words: str | None) -> None:
    def run(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    told: list[str] = []
    reloads: list[bool] = []
    log = SimpleNamespace(error=lambda text, fault: told.append(text % fault))
    server = SimpleNamespace(
        cfg=SimpleNamespace(address=[("127.0.0.1", 1)]), log=log, reload=lambda: reloads.append(True)
    )
    monkeypatch.setattr(start_check.subprocess, "run", run)
    start_check.guard_reload(server)
    server.reload()

    assert reloads == ([] if words else [True])
    assert [text.endswith(words or "") for text in told] == ([True] if words else [])
