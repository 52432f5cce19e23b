"""Every setting, read from the environment once and checked as a whole.

gunicorn.conf.py loads this package before the rest of the application, so it imports nothing but the standard library.
"""

from app.config.fields import ConfigError
from app.config.groups import (
    BatchSettings,
    BreakerSettings,
    CacheSettings,
    ImageSettings,
    ModerationSettings,
    OriginSettings,
    SendSettings,
    TokenSettings,
)
from app.config.identity_provider import ProviderSettings
from app.config.settings import Config

__all__ = [
    "BatchSettings",
    "BreakerSettings",
    "CacheSettings",
    "Config",
    "ConfigError",
    "ImageSettings",
    "ModerationSettings",
    "OriginSettings",
    "ProviderSettings",
    "SendSettings",
    "TokenSettings",
]
