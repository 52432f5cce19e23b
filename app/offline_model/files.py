"""Store files and batches in a directory that several processes can share."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject

_ID = re.compile(r"(file|batch)_offline_[0-9a-f]{32}(_output|_errors)?")
_MAX_AGE_S = 30 * 86_400


class Folder:
    """A directory with one file per object, named by its id. It is created on first use."""

    def __init__(self, directory: Path) -> None:
        self._root = directory

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically."""
        partial = self._directory / f".{name}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        partial.replace(self._directory / name)

    def read(self, name: str) -> bytes:
        """Return a file's content. Raises InvalidRequestError (404) if there is none."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise self.not_found(name) from None

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        return self._path(name).exists()

    def delete(self, name: str) -> None:
        """Delete a file. Raises InvalidRequestError (404) if there is none."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise self.not_found(name) from None

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of all objects of a kind."""
        return (path.name for path in self._directory.glob(f"{prefix}_offline_*"))

    def delete_old(self) -> None:
        """Delete files after 30 days, as OpenAI does."""
        for path in self._directory.iterdir():
            if path.stat().st_mtime < time.time() - _MAX_AGE_S:
                path.unlink(missing_ok=True)

    @staticmethod
    def not_found(name: str) -> InvalidRequestError:
        """Return the error for an unknown id."""
        return InvalidRequestError(f"No such object: {name[:100]}", param="id", status=404)

    def _path(self, name: str) -> Path:
        if not _ID.fullmatch(name):
            raise self.not_found(name)
        return self._directory / name

    @property
    def _directory(self) -> Path:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._root


def new_id(kind: str) -> str:
    """Return a new id for a file or batch."""
    return f"{kind}_offline_{secrets.token_hex(16)}"


def upload(folder: Folder, name: str, content: bytes, purpose: str) -> JsonObject:
    """Answer `POST /files`."""
    if purpose != "batch":
        raise InvalidRequestError("The offline model accepts files for batches only.", param="purpose")
    folder.delete_old()
    file_id = new_id("file")
    folder.write(file_id, content)
    return _to_response(file_id, name, len(content), "batch")


def show(folder: Folder, file_id: str) -> JsonObject:
    """Answer `GET /files/<id>`."""
    purpose = "batch_output" if file_id.startswith("batch_") else "batch"
    return _to_response(file_id, f"{file_id}.jsonl", len(folder.read(file_id)), purpose)


def delete(folder: Folder, file_id: str) -> JsonObject:
    """Answer `DELETE /files/<id>`."""
    folder.delete(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def parse(content: bytes) -> list[JsonObject | None]:
    """Parse each line that is not blank; a line that is not a JSON object becomes None."""
    return [_parse_line(line) for line in content.splitlines() if line.strip()]


def _parse_line(line: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _to_response(file_id: str, name: str, size: int, purpose: str) -> JsonObject:
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": int(time.time()),
        "filename": name,
        "purpose": purpose,
        "status": "processed",
    }
