"""The example of docs/tools.md, as a file of TOOLS_DIR."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.openai_service import ToolError
from app.tools import ToolContext, load_tools

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")


def test_the_example_is_a_tool_of_which_the_model_is_told_what_is_printed(add, folder):
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [shown] = re.findall(
        r"^The model receives this definition:\n\n```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    add("orders", example)

    order_status = load_tools(folder, ("order_status",)).declared["order_status"]

    assert order_status.definition == json.loads(shown)
    anna, ben = ToolContext("shop", "anna", "r1"), ToolContext("shop", "ben", "r2")
    assert order_status.run('{"order_id": "1042"}', anna) == '{"order":"1042","status":"on its way"}'
    with pytest.raises(ToolError, match="This customer has no such order"):
        order_status.run('{"order_id": "1042"}', ben)
