"""docs/component.md names what <gatehouse-chat> has, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.fakes.servers import ROOT

STATIC = ROOT / "app" / "web" / "static"
SOURCES = "\n".join(
    path.read_text("utf-8") for path in [STATIC / "gatehouse-chat.js", *(STATIC / "chat").glob("*.js")]
)
PAGE = (ROOT / "docs" / "component.md").read_text("utf-8")


def _section(heading: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def _names(text: str) -> set[str]:
    return set(re.findall(r"`([\w-]+)`", text))


def _english() -> set[str]:
    return set(re.findall(r"^  (\w+):", (STATIC / "chat" / "texts" / "en.js").read_text("utf-8"), re.MULTILINE))


def test_attributes():
    read = set(
        re.findall(
            r'(?:[gh]\w*Attribute|read)\("([a-z-]+)"',
            SOURCES.split("export class GatehouseChat")[1].split("customElements")[0],
        )
    )
    table = _section("Attributes").split("\nThe attribute `state`")[0]
    told = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([a-z-]+)", row.split("|")[1])
    }

    assert read - {"state"} <= told
    assert {"url", "prompt", "max-file-mb", "lang", "heading"} <= told


def test_states():
    kinds = set(re.findall(r'kind(?:: | \?\? .* \? | = )"(\w+)"', SOURCES)) | set(
        re.findall(r'^  \w+: "(\w+)",$', SOURCES, re.MULTILINE)
    )
    kinds |= set(re.findall(r'#set\((?:[^"()]* \? )?"(\w+)"', SOURCES)) | {"busy", "invalid", "failed"}

    assert kinds <= _names(_section("Attributes"))


def test_parts():
    parts = {name for group in re.findall(r'part: "([\w -]+)"', SOURCES) for name in group.split()}
    parts |= set(re.findall(r'iconButton\("\w+", .*?, "(\w+)", ', SOURCES))
    told = _names(_section("Looks").split("**Parts**")[1].split("\n\n")[0])

    assert parts == told


def test_custom_properties():
    used = set(re.findall(r"var\((--gh-[\w-]+)", SOURCES))
    told = set(re.findall(r"--gh-[\w-]+", _section("Looks")))

    assert used - {"--gh-space-2", "--gh-space-3", "--gh-space-4"} == told


def test_texts():
    assert _english() == _names(_section("Texts").split("\n```\n")[1].split("An attribute's name")[0])


@pytest.mark.parametrize("name", ["message", "error", "open", "close"])
def test_events(name):
    assert re.search(rf'#?[rR]eport\(.*"{name}"', SOURCES)
    assert f"`gatehouse-{name}`" in _section("Properties, methods, events")
