"""The programs of docs/openai-compatible.md: those in Python are run as they are printed."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import openai
import pytest

from tests.fakes.upstreams.openai_answers import stream_of

PAGE = (Path(__file__).parents[4] / "docs" / "openai-compatible.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_in_python_works_as_printed(app, connect, upstream, monkeypatch, capsys, program):
    if ".stream(" in program:
        upstream.streams(*stream_of("Hello", " there"))
    in_this_process = connect(app)._client
    monkeypatch.setattr("openai.OpenAI", partial(openai.OpenAI, http_client=in_this_process))

    exec(compile(program, "docs/openai-compatible.md", "exec"), {})

    assert capsys.readouterr().out == "Hello there\n"
