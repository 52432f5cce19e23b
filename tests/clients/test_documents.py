"""The programs of docs/clients.md, run as they are printed."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.clients.running_server import AI_VERSIONS, HERE, Server
from tests.fakes.servers import ROOT

pytestmark = pytest.mark.clients

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
COMPONENTS = dict(re.findall(r"^## (use\w+)\n.*?^```jsx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
[PROGRAM] = re.findall(r"^```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


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


def test_the_program_for_agui(server: Server) -> None:
    server.says("Hel", "lo there")
    program = HERE / "node_modules" / ".built" / "agui.mjs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(PROGRAM.replace("http://127.0.0.1:8000", server.url), encoding="utf-8")

    done = subprocess.run(["node", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "Hello there\n"), done.stderr
