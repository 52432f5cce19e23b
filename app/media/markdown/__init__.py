"""Render a model's Markdown to HTML that is safe in any page.

- `rendering`: `MarkdownRendering`, which renders in a side process: a few kilobytes can take a parser minutes.
- `job`: the function that runs there.
"""

from app.media.markdown.rendering import MarkdownRendering, make_markdown_processes

__all__ = ["MarkdownRendering", "make_markdown_processes"]
