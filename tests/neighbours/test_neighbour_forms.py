"""What hostile forms do to the others of a worker: those that `make neighbours` sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fakes.neighbour import Neighbour, neighbour

pytestmark = pytest.mark.neighbours
FIELDS = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=a"
TEXT = 1024 * 1024 - 1000
FILES = 20 * 1024 * 1024 - 1000


def parted(header: bytes) -> bytes:
    return b'--a\r\nContent-Disposition: form-data; name="prompt"%b\r\n\r\nHi\r\n--a--\r\n' % header


# The route, the type and the body; sent with a key where the body is for that.
HOSTILE: dict[str, tuple[str, str, Callable[[], bytes], int]] = {
    "percent signs": ("/embed/ask", FIELDS, lambda: b"message=Hi&x=" + b"%" * 1_000_000, 400),
    "percent signs to sign in": ("/usage/sign-in", FIELDS, lambda: b"credential=" + b"%" * 1_000_000, 403),
    "escapes": ("/embed/ask", FIELDS, lambda: b"message=" + b"%D0%B0" * 170_000, 200),
    "plus signs": ("/embed/ask", FIELDS, lambda: b"message=" + b"+" * 1_000_000, 400),
    "lists as variables": ("/embed/ask", FIELDS, lambda: b"variables=[" + b"[]," * 340_000 + b"[]]", 400),
    "objects as variables": (
        "/embed/ask",
        FIELDS,
        lambda: b'variables=[{"":0}' + b',{"":0}' * 140_000 + b"]",
        400,
    ),
    "a long history": (
        "/embed/ask",
        FIELDS,
        lambda: (
            b'message=Hi&history={"messages":['
            + b",".join([b'{"role":"user","content":"%b"}' % (b"x" * 480)] * 1_990)
            + b"]}"
        ),
        200,
    ),
    "a long name": ("/embed/ask", PARTS, lambda: parted(b"; x=" + b"a" * TEXT)[:TEXT], 400),
    "many headers": ("/embed/ask", PARTS, lambda: parted(b"\r\na: b" * 170_000), 400),
    "a long name beside files": ("/api/vision", PARTS, lambda: parted(b'"; x="' + b"a" * 900_000), 400),
    "what looks like a boundary": ("/api/vision", PARTS, lambda: parted(b"") + b"\r\n--" * 4_900_000, 413),
    "a form full of its boundary": ("/api/vision", PARTS, lambda: b"--a" * (FILES // 3), 400),
    "a letter as boundary": ("/api/vision", PARTS, lambda: b"a" * FILES, 413),
    "JSON with a boundary": (
        "/api/vision",
        "application/json; boundary=a",
        lambda: b'{"prompt":"' + b"a" * (FILES - 20) + b'"}',
        413,
    ),
}


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbour]:
    with neighbour(SECRET_KEY="s" * 40) as near:
        yield near


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_form_costs_the_others_nothing(near: Neighbour, name: str) -> None:
    assert_harmless(near, name)


def assert_harmless(near: Neighbour, name: str) -> None:
    route, kind, make, status = HOSTILE[name]
    headers = {"Content-Type": kind, "Idempotency-Key": name.replace(" ", "-")}

    near.assert_harmless(route, make(), status, headers)
