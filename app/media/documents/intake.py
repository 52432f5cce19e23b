"""Check an uploaded PDF file in a side process, where a hostile one can do no harm."""

from __future__ import annotations

from dataclasses import dataclass

from app.media.documents import job
from app.media.documents.pages import PdfRules, UnusableFile
from app.media.documents.sent import PdfUrl
from app.runtime.side_process import Claim, JobKilled, ProcessLimits, SideProcessPool

# The memory of Python and pypdf; and that of each byte of a file: its base64, the byte and pypdf's objects.
_BASE_BYTES, _BYTES_PER_BYTE = 384 * 1024 * 1024, 12
_CPU_S = 12


def make_document_processes(max_bytes: int) -> SideProcessPool:
    """Return the pool of processes that read files of up to this size. No process is started yet."""
    limits = ProcessLimits(memory_bytes=_BASE_BYTES + _BYTES_PER_BYTE * max_bytes, cpu_s=_CPU_S)
    return SideProcessPool(job.TARGET, limits)


@dataclass(frozen=True, slots=True)
class PdfReading:
    """Reads the files of a request.

    Attributes:
        rules: the limits of accepted files.
        processes: the side processes that read them.
        claim: the request that waits for them.
    """

    rules: PdfRules
    processes: SideProcessPool
    claim: Claim

    def read_base64(self, text: bytes | memoryview, *, is_escaped: bool = False) -> PdfUrl:
        """Return the file of a text in base64, which may be escaped as in JSON.

        Raises:
            UnusableFile: it is not a PDF, or is encrypted, damaged or too large.
            PoolBusy: it was not read in time.
            Exception: any error that the claim's check raises.
        """
        if not is_escaped:
            self.rules.check_length(len(text) // 4 * 3 - bytes(text[-2:]).count(b"="))
        try:
            answer, encoded = self.processes.run(
                job.make_fields(self.rules, is_escaped=is_escaped), text, self.claim
            )
        except JobKilled:
            raise UnusableFile("takes too much work to read.") from None
        return job.read_answer(answer, encoded, text)
