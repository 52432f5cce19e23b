from __future__ import annotations

import errno
import io

import pytest


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


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize(
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
    ids=repr,
)
def test_only_what_the_connection_did_is_the_callers_fault(client, upstream, content_type, error, status):
    answer = client.post(
        "/api/vision",
        content_type=content_type,
        environ_overrides={"wsgi.input": Broken(error), "CONTENT_LENGTH": "100"},
    )

    assert answer.status_code == status
    assert upstream.sent == []
