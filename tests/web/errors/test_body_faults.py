from __future__ import annotations

import errno
import gzip
import io
import json

import pytest
from PIL import Image

from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import EVERY_ROUTE, EVERY_SMALLEST


class Broken(io.RawIOBase):
    """A body whose reading fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raise self.error

    def readinto(self, buffer: object) -> int:
        raise self.error


@each_row("content_type", ["application/json", "multipart/form-data; boundary=x"])
@each_row(
    ("error", "status"),
    [
        (ConnectionResetError(errno.ECONNRESET, "x"), 400),
        (OSError("no more data"), 400),
        (OSError(errno.ENOSPC, "full"), 500),
        (OSError(errno.EROFS, "read-only"), 500),
        (OSError(errno.EMFILE, "too many files"), 500),
        (MemoryError(), 500),
        (RuntimeError("a bug"), 500),
    ],
)
def test_only_what_the_connection_did_is_the_callers_fault(client, upstream, content_type, error, status):
    answer = client.post(
        "/api/vision",
        content_type=content_type,
        environ_overrides={"wsgi.input": Broken(error), "CONTENT_LENGTH": "100"},
    )

    assert answer.status_code == status
    assert upstream.sent == []


@each_row("coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x"])
@each_row("path", [*EVERY_ROUTE, "/api/completion", "/api/agui"])
def test_a_compressed_body_is_named_as_such(client, upstream, path, coding):
    body = gzip.compress(json.dumps(EVERY_SMALLEST.get(path, {})).encode())

    answer = client.post(path, data=body, content_type="application/json", headers={"Content-Encoding": coding})

    assert answer.status_code == 415
    assert "Content-Encoding" in answer.text
    assert upstream.sent == []


@each_row("path", ["/api/vision", "/api/vision/stream", "/embed/ask"])
@each_row("content_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_compressed_form_is_named_as_such(client, upstream, path, content_type):
    answer = client.post(
        path, data=gzip.compress(b"message=Hi"), content_type=content_type, headers={"Content-Encoding": "gzip"}
    )

    assert answer.status_code == 415
    assert upstream.sent == []


@each_row("coding", ["identity", "Identity", " identity ", ""])
def test_a_body_that_says_that_it_is_not_compressed_is_read(client, coding):
    answer = client.post("/api/chat", json={"message": "Hi"}, headers={"Content-Encoding": coding})

    assert answer.status_code == 200


MACHINE = [
    (OSError(errno.ENOSPC, "CANARY"), "full"),
    (OSError(errno.EDQUOT, "CANARY"), "full"),
    (OSError(errno.EROFS, "CANARY"), "read-only"),
    (OSError(errno.EMFILE, "CANARY"), "open files"),
    (OSError(errno.ENFILE, "CANARY"), "open files"),
    (OSError(errno.ENOMEM, "CANARY"), "memory"),
    (BlockingIOError(errno.EAGAIN, "CANARY"), "tasks"),
    (PermissionError(errno.EACCES, "CANARY"), "permission"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in CANARY"), "TMPDIR"),
    (OSError(errno.EIO, "CANARY"), "kernel"),
    (MemoryError("CANARY"), "memory"),
]


@each_row(("error", "part"), MACHINE)
def test_what_the_machine_lacks_is_told_in_the_log_with_a_hint(client, upstream, caplog, error, part):
    caplog.clear()
    answer = client.post(
        "/api/vision",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"wsgi.input": Broken(error), "CONTENT_LENGTH": "100"},
    )

    assert (answer.status_code, answer.json["code"], upstream.sent) == (500, "internal_error", [])
    (line,) = [record for record in caplog.records if record.message == "request.bug"]
    assert part in line.hint
    assert "CANARY" not in line.hint


@pytest.fixture(scope="module")
def picture():
    """An image that is too large to be kept in memory."""
    written = io.BytesIO()
    Image.effect_noise((1_000, 1_000), 90).save(written, "PNG")
    return written.getvalue()


PLACES = ["os.posix_spawn", "socket.socketpair", "tempfile.TemporaryFile"]


@each_row(
    ("place", "error", "part"),
    [(place, *row) for place in PLACES for row in (MACHINE[3], MACHINE[5], MACHINE[-1])],
    quickly=lambda place, error, part: place == PLACES[0] or part == MACHINE[3][1],
)
def test_a_picture_that_this_machine_cannot_take_is_not_the_callers_fault(
    client, *, upstream, caplog, monkeypatch, picture, error, part, place
):
    caplog.clear()

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(place, fail)
        answer = client.post("/api/vision", data={"prompt": "Hi", "image": (io.BytesIO(picture), "a.png")})

    assert (answer.status_code, answer.json["code"], upstream.sent) == (500, "internal_error", [])
    assert [part in record.hint for record in caplog.records if record.message == "request.bug"] == [True]
