"""The settings, read from the environment once and checked together.

settings           Config: one field for each setting
setting_fields     these fields, with their defaults and checks
fields             how a field declares its default and its check; ConfigError
variables          reads the environment variables and secret files, and parses them by the type of their settings
parsing            converts the text of a variable to the type of its field
formats            checks the formats of names, URLs and rates
origins            normalizes and checks origins of pages and host names
upstream_urls      checks the URLs and keys of the upstream
paths              checks that the files and folders that settings name can be read or written
env_file           reads .env, and reports names in it that are not settings
rules              checks rules that involve several settings, and warns of a development server open to other machines
identity_provider  the settings of the site's identity provider, and their rules
models             the models of each operation, and the limits of their answers and inputs
groups             the settings that one part of the application takes, as one value

gunicorn.conf.py loads this package before the rest of the application. It therefore imports only the standard
library and dotenv.
"""

from app.config.env_file import load_config, read_env_file
from app.config.fields import ConfigError
from app.config.groups import (
    AttributionSettings,
    BatchSettings,
    BreakerSettings,
    CacheSettings,
    ConnectionSettings,
    HostedToolSettings,
    MediaSettings,
    ModerationSettings,
    OriginSettings,
    SendSettings,
    ServiceSettings,
    TokenSettings,
    UpstreamBatchSettings,
    UpstreamSettings,
)
from app.config.identity_provider import ProviderSettings
from app.config.models import ModelSettings, ReasoningEffort, ServiceTier, Verbosity
from app.config.paths import find_unreadable, find_unwritable
from app.config.rules import describe_exposure
from app.config.settings import Config

__all__ = [
    "AttributionSettings",
    "BatchSettings",
    "BreakerSettings",
    "CacheSettings",
    "Config",
    "ConfigError",
    "ConnectionSettings",
    "HostedToolSettings",
    "MediaSettings",
    "ModelSettings",
    "ModerationSettings",
    "OriginSettings",
    "ProviderSettings",
    "ReasoningEffort",
    "SendSettings",
    "ServiceSettings",
    "ServiceTier",
    "TokenSettings",
    "UpstreamBatchSettings",
    "UpstreamSettings",
    "Verbosity",
    "describe_exposure",
    "find_unreadable",
    "find_unwritable",
    "load_config",
    "read_env_file",
]
