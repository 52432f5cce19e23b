"""gatehouse.js in pages of a real browser: of the allowed origin, and of another one."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.site import Pages, Site
from tests.fakes.servers import ROOT, exchange, wait_until

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

# A page that allows nothing but what it needs: no eval, no HTML from text, no style.
POLICY = (
    "default-src 'none'; script-src http://127.0.0.1:*; connect-src http://127.0.0.1:*; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE = f"""<!doctype html><title>A page</title><meta http-equiv="Content-Security-Policy" content="{POLICY}">"""


def test_pages(site: Site, pages: Pages, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    copy = tmp_path / "static" / "gatehouse.js"
    copy.parent.mkdir()
    copy.write_bytes((ROOT / "app" / "web" / "static" / "gatehouse.js").read_bytes())
    site.says("Hel", "lo 😀")
    goes_on, stopped = site.upstream.streams("Hel", "lo 😀"), site.upstream.streams("Hel", "lo")
    goes_on.release(2)
    stopped.release(2)
    ready = tmp_path / "ready"

    with Pages(site, tmp_path, port=0).serving() as others, ThreadPoolExecutor() as pool:
        options = {"allowed": f"{pages.url}/", "foreign": f"{others.url}/", "ready": str(ready)}
        running = pool.submit(site.run, "gatehouse_js/in_browser.mjs", **options)
        wait_until(lambda: ready.exists() or running.done(), "the page is without a network", 60)
        goes_on.release_all()
        seen = running.result()

    assert [event.get("token") for event in seen["allowed"]] == ["Hel", "lo 😀", None]
    assert seen["allowed"][-1]["type"] == "done"
    assert [event["token"] for event in seen["afterOffline"] if event["type"] == "token"] == ["Hel", "lo 😀"]
    assert seen["afterOffline"][-1]["type"] == "done"
    assert seen["stopped"] == [{"type": "token", "token": "Hel"}]
    assert stopped.left.wait(5)
    [no_module] = seen["foreignImport"]
    assert (no_module["name"], no_module["type"]) == ("TypeError", "failed")
    [no_answer] = seen["foreignCall"]
    assert no_answer["code"] == "network_error"
    assert len(site.upstream.received) == 3
    assert len(pages.tokens) == 3


def test_the_server_refuses_another_origin_before_any_work(site: Site, pages: Pages) -> None:
    """A right token does not help: whoever stole it is on another page."""
    token = site.create_token()["token"]
    port = int(site.url.rpartition(":")[2])
    for origin, status in [(site.origin, 200), ("https://other.example", 403), ("null", 403)]:
        headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
        with exchange(port, "POST", "/api/chat", {"message": "Hi"}, headers=headers) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == (origin if status == 200 else None)
    assert len(site.upstream.received) == 1
