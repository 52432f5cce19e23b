"""The settings, read from the environment once and checked together.

settings           Config: one field for each setting
setting_fields     these fields, with their defaults and checks
fields             how a field declares its default and its check; ConfigError
variables          the variables of the environment, parsed by the type of their settings
parsing            from the text of a variable to the type of its field
formats            the formats of names, URLs and rates
origins            origins of pages and names of hosts: how browsers write them, and what is none
upstream_urls      what the upstream's URLs must not be
paths              the files and folders that settings name: what cannot be read or written
env_file           reads .env, and says what in it is no setting
rules              rules that concern several settings, and who can use a development server that others reach
identity_provider  the settings of the site's identity provider, and their rules
models             the models of each operation, and the limits of their answers and inputs
groups             the settings that one part of the application takes, as one value

gunicorn.conf.py loads this package before the rest of the application, so it imports nothing but the
standard library and dotenv.
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
