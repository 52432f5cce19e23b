"""The gevent sockets of `server/`, each test in a fork of its own: gevent changes the process that it is in."""

from __future__ import annotations

import pytest

from tests.fakes.scripts import run_each

IMPORTS = """
from gevent import monkey; monkey.patch_all()
import gevent, socket as plain
from gevent.pool import Pool
from gevent.socket import socketpair
from gunicorn.config import Config
from server.connections.listening import FairListener
from server.connections.stream_socket import StreamSocket
from server.workers.gevent_worker import _ClientSocket, _hold_settings

def pair():
    near, far = socketpair()
    return StreamSocket(fileno=near.detach()), far
"""

SCRIPTS = {
    "what arrives later is waited for": """
near, far = pair()
gevent.spawn_later(0.01, far.sendall, b"late")
assert near.recv(100) == b"late"
""",
    "what has arrived is read at once": """
near, far = pair()
far.sendall(b"here")
assert near.recv(100) == b"here"
""",
    "the end is told": """
near, far = pair()
far.close()
assert near.recv(100) == b""
""",
    "a wait that is too long ends and can be taken up again": """
near, far = pair()
near.settimeout(0.01)
for _ in range(2):
    try:
        near.recv(1)
        raise SystemExit("it did not end")
    except TimeoutError:
        pass
far.sendall(b"now")
assert near.recv(100) == b"now"
""",
    "each wait has its whole time": """
near, far = pair()
near.settimeout(0.2)
for _ in range(10):
    gevent.spawn_later(0.05, far.sendall, b"x")
    assert near.recv(1) == b"x"
""",
    "without blocking it says so": """
near, far = pair()
near.settimeout(0.0)
try:
    near.recv(1)
    raise SystemExit("it waited")
except BlockingIOError:
    pass
""",
    "more than fits is sent whole": """
near, far = pair()
data = bytes(range(256)) * 40_000
sender = gevent.spawn(near.sendall, data)
got = bytearray()
while len(got) < len(data):
    got += far.recv(65536)
sender.get(timeout=5)
assert bytes(got) == data
""",
    "a waiting greenlet can be killed, and the socket read by another": """
near, far = pair()
waiting = gevent.spawn(near.recv, 1)
gevent.sleep(0)
waiting.kill(timeout=5)
far.sendall(b"x")
assert near.recv(1) == b"x"
""",
    "two greenlets cannot wait on one socket": """
near, far = pair()
waiting = gevent.spawn(near.recv, 1)
gevent.sleep(0)
try:
    near.recv(1)
    raise SystemExit("both waited")
except gevent.exceptions.ConcurrentObjectUseError:
    pass
waiting.kill()
""",
    "closing it ends another greenlet's wait": """
near, far = pair()
def read():
    try:
        return near.recv(1)
    except OSError:
        return "closed"
waiting = gevent.spawn(read)
gevent.sleep(0)
near.close()
assert waiting.get(timeout=2) == "closed", waiting
""",
    "a visitor gets an answer that is larger than a socket holds": """
near, far = socketpair()
visitor = _ClientSocket(fileno=near.detach())
visitor.settimeout(5)
head, body = b"HTTP/1.1 200 OK\\r\\n\\r\\n", b"x" * 5_000_000
def answer():
    visitor.sendall(head)
    visitor.sendall(body)
    visitor.close()
gevent.spawn(answer)
received = b"".join(iter(lambda: far.recv(100_000), b""))
assert received == head + body
""",
    "a worker's settings are what they were, and plain attributes": """
held, plain = Config(), Config()
for config in (held, plain):
    config.set("keepalive", 7)
    config.set("workers", 3)
_hold_settings(held)
for name in plain.settings:
    assert getattr(held, name) == getattr(plain, name), name
assert vars(held)["keepalive"] == 7 and vars(held)["workers"] == 3
assert "address" not in vars(held) and held.address == plain.address
""",
    "a busy worker leaves turns to the others before it accepts again": """
def turns_left(server):
    turns = 0
    while not (accepted := server.do_read()):
        turns += 1
    accepted[0].close()
    return turns

for open_connections, expected in [(0, 1), (5, 6), (1000, 16)]:
    connections = Pool()
    for _ in range(open_connections):
        connections.spawn(gevent.sleep, 60)
    listener = gevent.socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = FairListener(listener, lambda *_: None, connections)
    visitors = [gevent.socket.create_connection(server.address) for _ in range(2)]
    assert [turns_left(server), turns_left(server)] == [0, expected]
""",
}


@pytest.fixture(scope="module")
def results():
    return run_each(IMPORTS, SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_stream_socket_behaves_like_a_socket(results, name):
    assert results[name] == (0, "")
