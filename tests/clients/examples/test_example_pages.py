"""The examples that people open, each in a real browser, and the scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.examples.running import EXAMPLES, HERE, copy_of, serving
from tests.clients.running_server import PYTHON, Server
from tests.clients.site import Pages, Site
from tests.fakes.servers import ROOT

pytestmark = pytest.mark.clients

ASK = "examples/ask_in_pages.mjs"
in_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")


@in_browser
@pytest.mark.skipif(
    not (ROOT / "app/web/static/gatehouse-chat.js").exists(), reason="the component is not part of this tree"
)
def test_the_flask_site_has_a_chat_by_one_tag(site: Site) -> None:
    site.says("Yes, ", "until *six*.")
    command: list[object] = [str(PYTHON), "-m", "flask", "run", "--port", str(site.page_port)]
    variables = {"GATEHOUSE_URL": site.url, "GATEHOUSE_KEY": site.key}
    with (
        copy_of("flask-site") as folder,
        serving(command, site.page_port, folder, **variables) as url,
    ):
        [shown] = site.run(ASK, pages=[(url, "until six")])

    assert "My shop" in shown
    assert site.asked()[0][-1]["content"] == "Is it open today?"


@in_browser
def test_the_react_app_is_built_by_vite_and_chats(site: Site, pages: Pages) -> None:
    site.says("Yes, ", "until six.")
    with copy_of("react-vite") as folder:
        built = subprocess.run(
            [HERE / "node_modules/.bin/vite", "build", "--outDir", pages.folder],
            cwd=folder,
            env={**os.environ, "VITE_GATEHOUSE_URL": site.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert built.returncode == 0, built.stderr
        [shown] = site.run(ASK, pages=[(f"{pages.url}/", "until six.")])

    assert "You: Is it open today?" in shown
    assert "AI: Yes, until six." in shown
    assert len(pages.tokens) == 1


@in_browser
def test_the_plain_page_streams(server: Server, site: Site, tmp_path: Path) -> None:
    page = (EXAMPLES / "html-page" / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(page.replace("http://127.0.0.1:8000", server.url), encoding="utf-8")
    server.says("Yes, ", "until six.")
    with Pages(site, tmp_path, port=server.page_port).serving() as pages:
        [shown] = server.run(ASK, pages=[(f"{pages.url}/", "Yes, until six.")])

    assert "Your question" in shown


@pytest.mark.parametrize("name", ["chat.py", "chat.mjs"])
def test_a_script(site: Site, name: str) -> None:
    site.says("Hel", "lo 😀")
    with copy_of(f"scripts/{name}") as folder:
        done = subprocess.run(
            [PYTHON if name.endswith(".py") else "node", name, "How", "are", "you?"],
            cwd=folder,
            env={**os.environ, "GATEHOUSE_URL": site.url, "GATEHOUSE_KEY": site.key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stdout) == (0, "Hello 😀\n"), done.stderr
    assert site.asked()[0] == [{"role": "user", "content": "How are you?"}]
