"""Encode messages between a worker and its side process: the lengths of both parts, fields as JSON, then bytes.

It is not pickle: if a hostile file takes over the side process, it must not get into the worker.
"""

from __future__ import annotations

import json
import struct
from typing import Any

Fields = dict[str, Any]

HEAD = struct.Struct("!II")
"""The lengths of the fields and of the data."""


def encode_head(fields: Fields, data: bytes | memoryview) -> bytes:
    """Return the part of a message before the data: the lengths, and the fields."""
    text = json.dumps(fields).encode()
    return HEAD.pack(len(text), len(data)) + text


def decode_fields(text: bytes | bytearray) -> Fields:
    """Return the fields of a message."""
    fields: Fields = json.loads(text)
    return fields
