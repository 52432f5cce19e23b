"""Check PDF files, and count their pages and text.

- `intake`: `PdfReading`, from an upload to the file that is sent. The work is done in a side process, where `job` runs.
- `pages`: count the pages and their text. `content`: read their text and images, for moderation.
- `sent`: `PdfUrl`, the data URL of a file, with its number of pages.
- `tokens`: the tokens of a file, as a bound and as an estimate.
"""

from app.media.documents.intake import PdfReading, make_document_processes
from app.media.documents.pages import PdfRules, UnusableFile
from app.media.documents.sent import PdfUrl
from app.media.documents.tokens import max_file_tokens, typical_file_tokens

__all__ = [
    "PdfReading",
    "PdfRules",
    "PdfUrl",
    "UnusableFile",
    "make_document_processes",
    "max_file_tokens",
    "typical_file_tokens",
]
