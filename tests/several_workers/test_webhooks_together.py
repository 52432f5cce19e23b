"""A webhook that is sent again and again to four workers is taken once, and all of them end its user's streams."""

from __future__ import annotations

import base64
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app.auth.keys import ApiKeys
from app.auth.store import LazyStore
from app.safety.pseudonyms import Pseudonyms
from app.storage.database.database import open_database
from tests.fakes.servers import free_port, gunicorn
from tests.fakes.site import SECRET_KEY, bearer
from tests.fakes.storage.redis_server import redis_server

pytestmark = pytest.mark.servers

KEY = b"canary-webhook-secret-1"
COPIES = 12
STREAMS = 7
WORDS = 400  # 12 s of the offline model


def read_stream(port: int, credential: dict[str, str], words: int, told: list[int], at: int) -> bytes:
    """Read a whole stream, and tell meanwhile how many tokens it had."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    content = json.dumps({"message": "word " * words})
    connection.request("POST", "/api/chat/stream", content, {"Content-Type": "application/json", **credential})
    answer, data = connection.getresponse(), b""
    while piece := answer.read1():
        data += piece
        told[at] = data.count(b'"token"')
    connection.close()
    return data


@pytest.mark.parametrize("state", ["file", "redis"])
def test_copies_of_a_webhook_over_four_workers_change_nothing(tmp_path: Path, state: str) -> None:
    with redis_server(tmp_path) if state == "redis" else nullcontext() as redis:
        send_copies(tmp_path, {} if redis is None else {"REDIS_URL": redis.url})


def send_copies(tmp_path: Path, own: dict[str, str]) -> None:
    url = f"sqlite:///{tmp_path}/own.sqlite3"
    database = open_database(url, tmp_path)
    database.migrate()
    made = ApiKeys(LazyStore(database)).create(
        tenant="acme", name="x", scopes=["chat", "usage", "admin", "all-tenants"]
    )
    database.close()
    key = bearer(str(made.text))
    port = free_port()

    def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)  # each may be another worker's
        content = body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data) if data else None

    def token(user: str) -> dict[str, str]:
        return bearer(
            ask("POST", "/api/tokens", {"userId": user, "ttlS": 600, "scopes": ["chat"]}, key)[1]["token"]
        )

    def chat(credential: dict[str, str]) -> int:
        return ask("POST", "/api/chat", {"message": "Hi"}, credential)[0]

    settings = {
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "4",
        "DATABASE_URL": url,
        "SECRET_KEY": SECRET_KEY,
        "OPENAI_WEBHOOK_SECRET": "whsec_" + base64.b64encode(KEY).decode(),
        **own,
    }
    with gunicorn(wait_for=port, **settings), ThreadPoolExecutor(COPIES) as pool:
        anna, bob = token("anna"), token("bob")
        assert chat(anna) == 200  # OpenAI reports only those who have asked it something
        blocked = {"safety_identifier": Pseudonyms(SECRET_KEY).identify("acme", "anna")}
        body = json.dumps({"type": "safety_identifier.blocked", "data": blocked}).encode()

        def sign(at: float, key: bytes = KEY) -> dict[str, str]:
            mac = hmac.digest(key, b"wh_1.%d.%b" % (at, body), "sha256")
            signature = f"v1,{base64.b64encode(mac).decode()}"
            return {"webhook-id": "wh_1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}

        signed = sign(time.time())
        untrue = [
            sign(time.time() - 400),
            sign(time.time() + 400),
            sign(time.time(), b"another secret"),
            {**signed, "webhook-id": "wh_2"},
            {**signed, "webhook-signature": ""},
        ]

        def send(_: int, headers: dict[str, str] = signed) -> int:
            return ask("POST", "/webhooks/openai", body, headers)[0]

        assert [send(at, headers) for at, headers in enumerate(untrue)] == [401] * len(untrue)
        assert [chat(anna), chat(bob)] == [200, 200]

        people = [(anna, WORDS)] * STREAMS + [(bob, WORDS // 4)]
        told = [0] * len(people)
        with ThreadPoolExecutor(len(people)) as readers:
            streams = [readers.submit(read_stream, port, *person, told, at) for at, person in enumerate(people)]
            while not all(told) and not any(stream.done() for stream in streams):
                time.sleep(0.05)
            first = list(pool.map(send, range(COPIES)))
        *ended, bobs = [stream.result() for stream in streams]
        assert all(b'"code":"forbidden"' in data for data in ended)
        assert b'"done":true' in bobs
        assert max(told[:-1]) < WORDS / 2
        assert 204 in first
        assert set(first) <= {204, 503}  # 503: while another worker was still at it
        assert list(pool.map(lambda _: chat(anna), range(8))) == [401] * 8
        assert chat(bob) == 200

        later = token("anna")
        assert list(pool.map(send, range(COPIES))) == [204] * COPIES
        assert list(pool.map(lambda _: chat(later), range(8))) == [200] * 8
        (event,) = ask("GET", "/api/usage", None, key)[1]["safetyEvents"]
        assert (event["user"], event["action"]) == ("anna", "tokens_revoked")
