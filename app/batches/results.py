"""BatchResults: returns the results of a batch in the order of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile

from app.batches.records import SentRequest
from app.batches.settlement import parse_custom_id
from app.openai_service import OutputLine, read_line

_MAX_MEMORY_BYTES = 8 * 1024 * 1024


class BatchResults:
    """Sorts the lines of result files by request. Their order is arbitrary, so all lines are read first.

    Large results are spooled to an unlinked file, which no other process can open. Close it after use.
    """

    def __init__(self, requests: Sequence[SentRequest], lines: Iterable[bytes]) -> None:
        self._requests = requests
        self._spool = SpooledTemporaryFile(max_size=_MAX_MEMORY_BYTES)  # noqa: SIM115  # closed by close()
        self._spans: dict[int, tuple[int, int]] = {}
        try:
            self._spool_lines(lines)
        except BaseException:
            self.close()
            raise

    def _spool_lines(self, lines: Iterable[bytes]) -> None:
        end = 0
        for text in lines:
            line = read_line(text)
            index = None if line is None else parse_custom_id(line.custom_id, len(self._requests))
            if index is not None and index not in self._spans:
                self._spool.write(text)
                self._spans[index] = (end, len(text))
                end += len(text)

    def __iter__(self) -> Iterator[tuple[SentRequest, OutputLine | None]]:
        """Yield each request with its line, or None if the files lack it."""
        for index, sent in enumerate(self._requests):
            if index not in self._spans:
                yield sent, None
                continue
            start, length = self._spans[index]
            self._spool.seek(start)
            yield sent, read_line(self._spool.read(length))

    def close(self) -> None:
        """Delete the file."""
        self._spool.close()
