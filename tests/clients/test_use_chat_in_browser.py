"""useChat() of each version of the AI SDK in a real browser, bundled as a site would do it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.running_server import AI_VERSIONS
from tests.fakes.servers import wait_until

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@AI_VERSIONS
def test_an_answer_a_refusal_a_stop_and_a_reload(server, version, tmp_path):
    server.says("Hel", "lo 😀")
    left = server.upstream.streams("One", " two")
    left.release(2)
    reloaded = server.upstream.streams("Three", " four")
    reloaded.release(2)
    ready = tmp_path / "ready"
    expected = {"answer": "Hello 😀", "stopped": "One", "begun": "Three"}

    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            server.run,
            "browser_chat.mjs",
            version=version,
            chatId=f"chat-{version}",
            chromium=CHROMIUM,
            ready=str(ready),
            **expected,
        )
        wait_until(lambda: ready.exists() or running.done(), "the page that was loaded again has the first words")
        reloaded.release_all()
        page = running.result()

    assert page["answered"] == {"texts": ["Hi", "Hello 😀"], "error": ""}
    assert page["refused"]["error"] == "temperature: should be less than or equal to 2."
    assert page["stopped"]["texts"][-1] == "One"
    assert left.left.wait(3)
    assert page["resumed"] == {"texts": ["Three four"], "error": ""}
    assert page["faults"] == []
    assert len(server.upstream.received) == 3
