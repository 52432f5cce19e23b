"""How `make load` and `make soak` judge what they saw: they must not be content with everything."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from chaos.nodes.__main__ import find_unexcused
from chaos.nodes.faults import Fault
from chaos.nodes.load import Answer, describe
from chaos.nodes.network import Place, open_network
from chaos.nodes.soak import find_growth
from chaos.trace import Vitals
from tests.fakes.servers import wait_until

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (PLAIN + b'{"reply":"Hello"}', "answered"),
        (PLAIN + b'{"reply":"Hel', "cut"),
        (STREAM + b'data: {"token":"a"}\n\ndata: {"done":true,"usage":{}}\n\n', "streamed"),
        (STREAM + b'data: {"token":"a"}\n\ndata: {"error":"x","code":"draining"}\n\n', "stream ended: draining"),
        (STREAM + b'data: {"token":"a"}\n\n', "stream cut"),
        (b'HTTP/1.1 503 X\r\n\r\n{"error":"x","code":"store_unavailable"}', "503 store_unavailable"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "502"),
        (b"", "nothing"),
    ],
)
def test_an_answer_is_what_it_is(answer: bytes, what: str) -> None:
    assert describe(answer) == what
    assert Answer(0, 1, what).is_fine == (what in {"answered", "streamed"})


def test_only_what_ran_during_a_fault_is_excused() -> None:
    killed = Fault("node killed", 10.0, 10.1)
    running, later, fine = Answer(9.0, 10.05, "stream cut"), Answer(10.2, 11.0, "503 x"), Answer(1, 2, "answered")

    assert find_unexcused([running, later, fine], [killed]) == [later]
    assert find_unexcused([running], []) == [running]


def test_what_grows_is_found() -> None:
    worker = Vitals(pid=1, files=20, threads=5, upstream=0, pss_kib=80 * 1024)

    def grown(between: int = 20, **after: int) -> list[str]:
        return find_growth([worker], [replace(worker, files=between)], [replace(worker, **after)])

    assert grown(upstream=9, files=22, pss_kib=90 * 1024) == []
    assert grown(files=40) == ["worker 1: 20 files open, then 20, then 40"]
    assert grown(30, files=40) == ["worker 1: 20 files open, then 30, then 40"]  # a leak
    assert grown(30, files=32) == []  # the pools of the stores have filled
    assert grown(37, files=37) == ["worker 1: 20 files open, then 37, then 37"]  # more than they may have
    assert grown(24, files=28) == ["worker 1: 20 files open, then 24, then 28"]
    assert grown(threads=50) == ["worker 1: 5 threads, then 50"]
    assert grown(pss_kib=200 * 1024) == ["worker 1: 80 MiB, then 200"]
    assert find_growth([worker], [worker], []) == ["worker 1 is gone"]


@pytest.mark.thorough
def test_each_node_has_a_network_of_its_own_and_a_cable() -> None:
    with open_network(2) as network, socket.create_server((network.address, 0)) as listener:
        first, second = network.places
        if not first.link:
            pytest.skip("network namespaces are not allowed here")
        port = listener.getsockname()[1]
        assert _reaches(first, network.address, port)
        with first.unplugged():
            assert not _reaches(first, network.address, port)
            assert _reaches(second, network.address, port)
        assert first.address not in (second.address, network.address)
        wait_until(lambda: _reaches(first, network.address, port), "it is plugged in again", 30)


def _reaches(place: Place, address: str, port: int) -> bool:
    code = f"import socket; socket.create_connection(({address!r}, {port}), 2)"
    done = subprocess.run([*place.prefix, sys.executable, "-c", code], capture_output=True, check=False)
    return done.returncode == 0


def test_without_namespaces_all_are_on_loopback_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("chaos.nodes.network.shutil.which", lambda _: None)
    with open_network(2) as network:
        assert {place.address for place in network.places} == {network.address} == {"127.0.0.1"}

    printed = "".join(capsys.readouterr())
    assert "no network namespaces (the program ip is not installed" in printed
