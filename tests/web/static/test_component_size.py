"""What a page loads for <gatehouse-chat>, in gzipped bytes."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from tests.fakes.servers import ROOT

STATIC = ROOT / "app" / "web" / "static"
_IMPORT = re.compile(r'^import .*? from "(\./.+?|\.\./.+?)";$', re.MULTILINE)


def _collect(path: Path, found: dict[Path, int]) -> dict[Path, int]:
    """Return the sizes of a module and of all that it imports, except what it loads when it needs it."""
    if path not in found:
        text = path.read_text("utf-8")
        found[path] = len(gzip.compress(text.encode(), 9))
        for name in _IMPORT.findall(text):
            _collect((path.parent / name).resolve(), found)
    return found


def test_a_page_loads_at_most_25_kb_before_there_is_an_answer():
    loaded = _collect(STATIC / "gatehouse-chat.js", {})

    assert STATIC / "gatehouse.js" in loaded
    assert STATIC / "chat" / "texts" / "en.js" in loaded
    assert sum(loaded.values()) <= 25_000, loaded


def test_what_shows_markdown_is_loaded_later_and_small():
    first = _collect(STATIC / "gatehouse-chat.js", {})
    markdown = _collect(STATIC / "chat" / "markdown.js", dict(first))

    assert STATIC / "chat" / "markdown.js" not in first
    assert sum(markdown.values()) - sum(first.values()) <= 8_000


def test_every_file_of_the_component_belongs_to_it():
    loaded = _collect(STATIC / "gatehouse-chat.js", {}) | _collect(STATIC / "chat" / "markdown.js", {})
    later = {
        STATIC / "chat" / name for name in ("answer_styles.js", "attachments.js", "budget.js", "clipboard.js")
    }
    lazy = {*later, *(STATIC / "chat" / "texts").iterdir()}

    assert {path for path in (STATIC / "chat").rglob("*") if path.is_file()} <= {*loaded, *lazy}


def test_nothing_makes_elements_of_a_string():
    for path in [STATIC / "gatehouse-chat.js", *(STATIC / "chat").rglob("*.js")]:
        text = path.read_text("utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|parseFromString|\beval\(|new Function",
            text,
        ), path
