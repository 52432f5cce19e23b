"""Render Markdown in a side process: the function that runs there."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

TARGET = f"{__name__}:run"

# The tags that the parser writes. It copies no tag of the text, so this list only matters if the parser has a bug.
_TAGS = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "div", "span"}
_TAGS |= {"h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "th": {"class"},
    "td": {"class"},
}
# The pages' content security policy allows no style attribute.
_ALIGNMENTS = {"text-align:right": "end", "text-align:center": "center"}
_SCHEMES = {"http", "https", "mailto"}
# The page around an answer uses the first two heading levels itself.
_HEADING_SHIFT, _MAX_HEADING = 2, 6


def run(fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:  # noqa: ARG001
    """Return the HTML of each text in `fields`."""
    return {"rendered": [render(text) for text in fields["texts"]]}, b""


def render(text: str) -> str:
    """Return the HTML of a text. It contains no script, no style, and nothing that loads from another server."""
    return nh3.clean(
        _parser().render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.core.ruler.push("align_cells", _align_cells)
    parser.add_render_rule("image", _link_image)
    for name in ("fence", "code_block"):
        parser.add_render_rule(name, _open_to_keyboards)
    parser.add_render_rule("table_open", _begin_table)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _HEADING_SHIFT, _MAX_HEADING)}"


def _align_cells(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("th_open", "td_open"):
            alignment = _ALIGNMENTS.get(str(token.attrs.pop("style", "")))
            if alignment:
                token.attrSet("class", alignment)


def _link_image(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    """Return a link in place of an image: loading one would send the reader's address and the URL to its server."""
    token = tokens[index]
    label = renderer.renderInlineAsText(token.children or [], options, env) or "image"
    return f'<a href="{escape(str(token.attrGet("src") or ""))}">{escape(label)}</a>'


def _open_to_keyboards(
    renderer: RendererHTML,  # noqa: ARG001
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    """Return a code block that can be scrolled sideways with the keyboard."""
    return f'<pre tabindex="0"><code>{escape(tokens[index].content)}</code></pre>\n'


def _begin_table(*_: Any) -> str:
    return '<div class="table-scroll" role="group" aria-label="Table" tabindex="0"><table>\n'
