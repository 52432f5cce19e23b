"""Parse docstrings for the model: the first paragraph, and the description of each argument under `Args:`.

Source: https://google.github.io/styleguide/pyguide.html#383-functions-and-methods
"""

from __future__ import annotations

import re

_SECTION = re.compile(r"(Args|Arguments|Parameters):[ \t]*$")
_ENTRY = re.compile(r"\*{0,2}(\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(.*)$")


def parse_summary(docstring: str) -> str:
    """Return the first paragraph on one line. It ends at an empty line or at `Args:`."""
    paragraph = []
    for line in docstring.strip().splitlines():
        if not line.strip() or _SECTION.match(line.strip()):
            break
        paragraph.append(line.strip())
    return " ".join(paragraph)


def parse_arguments(docstring: str) -> dict[str, str]:
    """Return the description of each argument on one line, in the order of the docstring.

    Args:
        docstring: without indentation, as inspect.cleandoc() returns it.
    """
    lines = docstring.splitlines()
    begin = next((number for number, line in enumerate(lines, 1) if _SECTION.match(line)), len(lines))
    descriptions: dict[str, list[str]] = {}
    name, indent = "", 0
    for line in lines[begin:]:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break  # the next section
        entry = _ENTRY.match(line.strip())
        if entry and (not descriptions or depth <= indent):
            name, indent = entry[1], depth
            descriptions[name] = [entry[2]]
        elif name:
            descriptions[name].append(line.strip())
    return {name: " ".join(part for part in parts if part) for name, parts in descriptions.items()}
