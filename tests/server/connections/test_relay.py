"""The relay of `server/`, each test in a fork of its own: gevent changes the process that it is in."""

from __future__ import annotations

import pytest

from tests.fakes.scripts import run_each

IMPORTS = """
from gevent import monkey; monkey.patch_all()
import gevent, greenlet, socket as plain
from gevent.socket import socketpair
from server.connections.relay import Relay
from server.connections.stream_socket import StreamSocket
from server.workers.gevent_worker import _ClientSocket
"""

# `wire` is the end of an upstream, `page` that of a browser; what arrives in between is passed on in upper case, unless
# it has a "!" in it.
PRELUDE = """
def pair():
    near, far = socketpair()
    return StreamSocket(fileno=near.detach()), far

upstream, wire = pair()
upstream.settimeout(0.0)
client, page = pair()
client.settimeout(5)
page.settimeout(5)
refused = []

def begin(is_chunked=False):
    relay = Relay(client, is_chunked=is_chunked)
    def take(data):
        if b"!" in data or not data:
            refused.append(data)
            return False
        relay.write(data.upper())
        return True
    return relay, lambda timeout_s=5: relay.wait(upstream, take, 16384, timeout_s)

switches = []
def read(size):
    data = b""
    while len(data) < size:
        data += page.recv(size - len(data))
    return data
"""

SCRIPTS = {
    "parts are passed on while the greenlet sleeps": """
relay, wait = begin()
sleeper = gevent.spawn(wait)
gevent.sleep(0)
own = []
greenlet.settrace(lambda event, switched: own.append(sleeper in switched))
for part in (b"one ", b"two ", b"three"):
    wire.sendall(part)
    assert read(len(part)) == part.upper()
greenlet.settrace(None)
assert not any(own), own
wire.sendall(b"stop!")
sleeper.get(timeout=5)
assert refused == [b"stop!"]
""",
    "what came before the wait is passed on too": """
relay, wait = begin()
wire.sendall(b"early")
gevent.spawn(wait)
assert read(5) == b"EARLY"
""",
    "chunks are framed as HTTP has them": """
relay, wait = begin(is_chunked=True)
gevent.spawn(wait)
wire.sendall(b"x" * 10)
assert read(15) == b"A\\r\\n" + b"X" * 10 + b"\\r\\n"
wire.sendall(b"y" * 5000)
assert read(5008) == b"1388\\r\\n" + b"Y" * 5000 + b"\\r\\n"
""",
    "the time is over even while parts arrive": """
relay, wait = begin()
def talk():
    while True:
        wire.sendall(b"x")
        gevent.sleep(0.005)
talking = gevent.spawn(talk)
for _ in range(2):
    try:
        wait(0.05)
        raise SystemExit("it did not end")
    except TimeoutError:
        pass
talking.kill()
""",
    "the end of the connection wakes": """
relay, wait = begin()
wire.close()
wait()
assert refused == [b""]
""",
    "what is raised in the loop is raised to the greenlet": """
relay = Relay(client, is_chunked=False)
wire.sendall(b"x")
try:
    relay.wait(upstream, lambda data: 1 / 0, 100, 5)
    raise SystemExit("nothing was raised")
except ZeroDivisionError:
    pass
wire.sendall(b"y")
assert upstream.recv(1) == b"y"
""",
    "a client that does not read stops the relay until it does, and loses nothing": """
relay, wait = begin()
sent, size = b"", 0
def pour():
    for number in range(3000):
        wire.sendall(b"%8d" % number * 100)
    wire.sendall(b"!")
gevent.spawn(pour)
reader = []
while not refused:
    try:
        wait()
    except TimeoutError:
        assert relay.unsent
        if not reader:
            reader.append(gevent.spawn(read, 3000 * 800))
        try:
            wait()
            raise SystemExit("it went on")
        except TimeoutError:
            pass
        relay.flush()
        assert not relay.unsent
assert reader, "the client's buffer never was full"
rest = refused[0].rstrip(b"!")
if rest:
    relay.write(rest.upper())
    relay.flush()
assert reader[0].get(timeout=5) == b"".join(b"%8d" % number * 100 for number in range(3000))
""",
    "a client that has gone is told when the rest is sent": """
relay, wait = begin()
page.close()
wire.sendall(b"x")
try:
    wait()
    raise SystemExit("it went on")
except TimeoutError:
    pass
try:
    relay.flush()
    raise SystemExit("nobody noticed")
except (BrokenPipeError, ConnectionResetError):
    pass
""",
    "a sleeping greenlet can be killed, and the connection read by another": """
relay, wait = begin()
sleeper = gevent.spawn(wait)
gevent.sleep(0)
sleeper.kill(timeout=5)
wire.sendall(b"x")
assert upstream.recv(1) == b"x"
""",
    "two greenlets cannot wait on one connection": """
relay, wait = begin()
sleeper = gevent.spawn(wait)
gevent.sleep(0)
try:
    wait()
    raise SystemExit("both waited")
except gevent.exceptions.ConcurrentObjectUseError:
    pass
sleeper.kill()
""",
    "the head of a response goes first": """
near, far = socketpair()
visitor = _ClientSocket(fileno=near.detach())
visitor.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
visitor.is_chunked = True
relay = visitor.open_relay()
relay.write(b"token")
visitor.sendall(b"0\\r\\n\\r\\n")
visitor.close()
assert b"".join(iter(lambda: far.recv(1000), b"")) == b"HTTP/1.1 200 OK\\r\\n\\r\\n5\\r\\ntoken\\r\\n0\\r\\n\\r\\n"
""",
    "parts that come by TLS are passed on": """
import pathlib, ssl, subprocess, tempfile
with tempfile.TemporaryDirectory() as folder:
    key, cert = pathlib.Path(folder, "key"), pathlib.Path(folder, "cert")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *kind, "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    ours, theirs = ssl.create_default_context(cafile=cert), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)
shaking = gevent.spawn(theirs.wrap_socket, wire, server_side=True)
upstream.settimeout(5)
upstream = ours.wrap_socket(upstream, server_hostname="localhost")
wire = shaking.get(timeout=5)
upstream.settimeout(0.0)
relay, wait = begin()
sleeper = gevent.spawn(wait)
for part in (b"one", b"x" * 16384, b"y" * 50000):
    wire.sendall(part)
    assert read(len(part)) == part.upper()
wire.sendall(b"!")
sleeper.get(timeout=5)
wire.close()  # without a farewell
wait()
assert refused == [b"!", b""]
""",
}


@pytest.fixture(scope="module")
def results():
    return run_each(IMPORTS, {name: PRELUDE + script for name, script in SCRIPTS.items()})


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_relay_passes_on_what_it_can(results, name):
    assert results[name] == (0, "")
