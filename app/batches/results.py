"""The results of a batch, in the order of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile

from app.batches.records import SentRequest
from app.batches.settlement import parse_custom_id
from app.openai_service import OutputLine, read_line

_IN_MEMORY = 8 * 1024 * 1024


class BatchResults:
    """Sorts result lines by request. The upstream writes them in any order, so all are read before the first is returned.

    Large results are in an unlinked file, which no other process can open. Close it after use.
    """

    def __init__(self, requests: Sequence[SentRequest], lines: Iterable[bytes]) -> None:
        self._requests = requests
        self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed by close()
        self._where: dict[int, tuple[int, int]] = {}
        try:
            self._take(lines)
        except BaseException:
            self.close()
            raise

    def _take(self, lines: Iterable[bytes]) -> None:
        end = 0
        for text in lines:
            line = read_line(text)
            place = None if line is None else parse_custom_id(line.custom_id, len(self._requests))
            if place is not None and place not in self._where:
                self._spool.write(text)
                self._where[place] = (end, len(text))
                end += len(text)

    def __iter__(self) -> Iterator[tuple[str, OutputLine | None]]:
        """Yield the id of each request with its line, or None if the files lack it."""
        for place, sent in enumerate(self._requests):
            if place not in self._where:
                yield sent.id, None
                continue
            start, length = self._where[place]
            self._spool.seek(start)
            yield sent.id, read_line(self._spool.read(length))

    def close(self) -> None:
        """Delete the file."""
        self._spool.close()
