from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.running_server import Server
from tests.clients.site import Pages, Site, run_site
from tests.fakes.servers import FakeUpstream, free_port, gunicorn

TOOLS = '''
from app.tools import tool


@tool
def order_status(order_id: str) -> str:
    """Look up an order.

    Args:
        order_id: as printed on the receipt.
    """
    return "on its way"
'''


@pytest.fixture
def server(running: Server) -> Server:
    running.upstream.forget()
    return running


@pytest.fixture
def site(running_site: Site) -> Site:
    running_site.upstream.forget()
    return running_site


@pytest.fixture
def pages(site: Site, tmp_path: Path) -> Iterator[Pages]:
    """The site's own server, whose files are those of a new folder."""
    with Pages(site, tmp_path).serving() as pages:
        yield pages


@pytest.fixture
def pictures() -> Iterator[Path]:
    """The folder that `make pictures` draws into. What is drawn becomes small: 256 colours are enough for pages."""
    folder = Path(os.environ["PICTURES"])
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    yield folder
    for path in folder.glob("*.png"):
        if path.stat().st_mtime_ns != before.get(path):
            with Image.open(path) as picture:
                small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            small.save(path, optimize=True)


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tools = tmp_path_factory.mktemp("tools")
    (tools / "orders.py").write_text(TOOLS, encoding="utf-8")
    port, page_port = free_port(), free_port()
    with (
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=port,
            PORT=str(port),
            OPENAI_API_KEY="sk-test",
            ALLOWED_ORIGINS=f"http://127.0.0.1:{page_port}",
            OPENAI_BASE_URL=upstream.url,
            CHAT_FALLBACK_MODELS="none",
            RETRY_MAX_ATTEMPTS="1",
            TOOLS_DIR=str(tools),
            ALLOWED_TOOLS="order_status",
            WEB_CONCURRENCY="1",
        ),
    ):
        yield Server(f"http://127.0.0.1:{port}", upstream, page_port)
