"""The site's own secrets: what a change of one of them changes for users."""

from __future__ import annotations

from collections.abc import Iterator

from app.config import Config
from app.doctor.finding import Finding, warning


def check_secrets(config: Config) -> Iterator[Finding]:
    """Check that users keep the names by which logs and the upstream know them when SECRET_KEY is replaced."""
    if config.secret_key_fallbacks and not config.pseudonym_secret:
        yield warning(
            "secrets",
            "SECRET_KEY was replaced, so logs and OpenAI know each user by another hash than before.",
            "To keep the hashes, put the former SECRET_KEY into PSEUDONYM_SECRET too, where it stays.",
        )
