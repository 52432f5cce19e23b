"""The keys of stored answers in the shared state."""

from __future__ import annotations


def head_key(answer_id: str) -> str:
    """Return the key of the head of an answer."""
    return f"answer:{answer_id}"


def page_key(answer_id: str, page: int) -> str:
    """Return the key of a page of an answer."""
    return f"answer:{answer_id}:{page}"


def alive_key(answer_id: str) -> str:
    """Return the key that exists while the writer of an answer is alive."""
    return f"answer:{answer_id}:alive"


def reader_key(answer_id: str) -> str:
    """Return the key that exists while another worker reads an answer."""
    return f"answer:{answer_id}:reader"


def stop_key(answer_id: str) -> str:
    """Return the key that exists once the owner has stopped an answer."""
    return f"answer:{answer_id}:stop"


def name_key(owner: str, name: str) -> str:
    """Return the key of the id of the latest answer with a name, such as that of its conversation."""
    return f"answer-name:{owner}:{name}"


def owner_key(owner: str) -> str:
    """Return the key of the list of an owner's answers."""
    return f"answers-of:{owner}"
