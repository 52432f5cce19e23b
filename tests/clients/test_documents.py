"""The programs of docs/clients.md, run as they are printed."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.clients.running_server import AI_VERSIONS, HERE, PYTHON, Server
from tests.fakes.servers import ROOT

pytestmark = pytest.mark.clients

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
COMPONENTS = dict(re.findall(r"^## (use\w+)\n.*?^```jsx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PROGRAMS = re.findall(r"^```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
IN_PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@AI_VERSIONS
@pytest.mark.parametrize(
    ("name", "tokens", "says"),
    [
        ("useChat", ["Hel", "lo there"], "user: Helloassistant: Hello there"),
        ("useCompletion", ["Drop ", "by drop"], "WriteDrop by drop"),
        ("useObject", ['{"name": "Mi', 'ez", "age": 3}'], "InventMiez 3"),
    ],
)
def test_a_component(server: Server, version: int, name: str, tokens: list[str], says: str) -> None:
    server.says(*tokens)

    page = server.run("component.mjs", version=version, name=name, source=COMPONENTS[name], expects=says)

    assert says in page


@pytest.mark.parametrize("program", PROGRAMS, ids=["AG-UI", "AI SDK", "agents"])
def test_a_program_in_javascript(server: Server, program: str) -> None:
    server.says("Hel", "lo there")
    # Beside the other packages, `ai` is the version that belongs to @ai-sdk/openai.
    source = program.replace("http://127.0.0.1:8000", server.url).replace('from "ai"', 'from "ai7"')

    done = run("node", "--input-type=module", "--eval", source)

    assert (done.returncode, done.stdout.strip()) == (0, "Hello there"), done.stderr


def test_the_program_in_python(server: Server) -> None:
    [program] = IN_PYTHON

    done = run(PYTHON, "-c", program.replace("http://127.0.0.1:8000", server.url))

    assert (done.returncode, done.stdout) == (0, "Hello there\n"), done.stderr


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
