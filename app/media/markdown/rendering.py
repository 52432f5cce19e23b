"""Render Markdown in a side process, where a hostile text can do no harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.runtime.side_process import Claim, JobKilled, PoolBusy, ProcessLimits, SideProcessPool

_TARGET = "app.media.markdown.job:run"
_MEMORY_BYTES = 384 * 1024 * 1024
_CPU_S = 2


def make_markdown_processes() -> SideProcessPool:
    """Return the pool of processes that render. No process is started yet."""
    return SideProcessPool(_TARGET, ProcessLimits(memory_bytes=_MEMORY_BYTES, cpu_s=_CPU_S))


@dataclass(frozen=True, slots=True)
class MarkdownRendering:
    """Renders the answers of a request.

    Attributes:
        processes: the side processes that render.
        claim: the request that waits for them.
    """

    processes: SideProcessPool
    claim: Claim

    def render(self, texts: Sequence[str]) -> list[str]:
        """Return the HTML of each text; as plain text if rendering takes too much time or memory.

        Raises:
            Exception: any error that the claim's check raises.
        """
        if not texts:
            return []
        try:
            answer, _ = self.processes.run({"texts": list(texts)}, b"", self.claim)
        except (JobKilled, PoolBusy):
            return [_render_plain(text) for text in texts]
        rendered: list[str] = answer["rendered"]
        return rendered


def _render_plain(text: str) -> str:
    return f'<p class="plain">{escape(text)}</p>\n' if text else ""
