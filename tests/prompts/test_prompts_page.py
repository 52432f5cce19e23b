"""What docs/prompts.md shows of files and of the command is as it is; its requests are run by tests/test_api_docs.py."""

from __future__ import annotations

import re

import pytest

from app.prompts.prompt import Prompt
from app.prompts.variable import Variable
from tests.fakes.servers import ROOT

PAGE = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
FOLDER = ROOT / "prompts"


def block(kind: str) -> str:
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_file_on_the_page_is_the_one_that_is_there():
    assert block("toml") == (FOLDER / "support.toml").read_text(encoding="utf-8")


def test_the_command_prints_what_is_on_the_page(make_app):
    ran = make_app(prompts_dir=str(FOLDER)).test_cli_runner().invoke(args=["prompts"])

    assert ran.output == block("text")


@pytest.mark.parametrize(("model", "number"), [(Prompt, 0), (Variable, 1)])
def test_the_tables_have_each_key_and_no_other(model, number):
    table = PAGE.split("| key | meaning | default |\n")[number + 1].split("\n\n")[0]
    keys = {key for line in table.splitlines()[1:] for key in re.findall(r"`(\w+)`", line.split("|")[1])}

    assert keys == {field.alias or name for name, field in model.model_fields.items()} - {"variables"}
