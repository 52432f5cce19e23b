"""The openai package in a page of another origin, in a real browser, which checks each preflight itself."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import stop

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

_PATIENCE_S = 60


class PageServer(ThreadingHTTPServer):
    """Serves this folder, and takes what its page found out."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), PageHandler)
        self.results: queue.Queue[Any] = queue.Queue()


class PageHandler(SimpleHTTPRequestHandler):
    server: PageServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(HERE))

    def do_POST(self) -> None:
        self.server.results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture
def pages(server) -> Iterator[PageServer]:
    with PageServer(server.page_port) as pages:
        thread = threading.Thread(target=pages.serve_forever, daemon=True)
        thread.start()
        yield pages
        pages.shutdown()
        thread.join()


def test_a_page_streams_an_answer_and_reads_an_error(server, pages, tmp_path):
    server.says("Hel", "lo 😀")
    page = f"http://127.0.0.1:{server.page_port}/openai.html?base={server.url}&key=anonymous"
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", page]

    browser = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        result = pages.results.get(timeout=_PATIENCE_S)
    finally:
        stop(browser)

    assert "".join(result["texts"]) == "Hello 😀", result
    assert (result["error"]["name"], result["error"]["param"]) == ("BadRequestError", "temperature")
    assert result["error"]["requestID"]
