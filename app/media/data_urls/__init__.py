"""Files in a JSON text, as data URLs.

- `cutting`: remove the large ones before the text is parsed.
- `decoding`: find and decode base64 in the variants that clients send.
"""

from app.media.data_urls.cutting import LARGE_URL_BYTES, EmbeddedUrl, cut_data_urls, put_back
from app.media.data_urls.decoding import InvalidBase64, decode_base64, find_base64, unescape

__all__ = [
    "LARGE_URL_BYTES",
    "EmbeddedUrl",
    "InvalidBase64",
    "cut_data_urls",
    "decode_base64",
    "find_base64",
    "put_back",
    "unescape",
]
