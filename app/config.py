"""Config: every setting, read from the environment once, checked as a whole.

gunicorn.conf.py loads this file by itself, so it imports nothing but the standard library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f]*:[0-9a-f:.]*(%[a-z0-9]+)?", re.IGNORECASE)
_RATE = (r"[1-9]\d{0,8}/(second|minute|hour|day)", "must be such as 60/minute (second, minute, hour or day).")
_FORMS = dict.fromkeys(("rate_limit", "tenant_rate_limit", "address_rate_limit"), _RATE) | {
    "redis_url": (r"(rediss?|unix)://.+", "must begin with redis://, rediss:// or unix://."),
}
_CHOICES = {
    "app_env": ("development", "production"),
    "worker_class": ("gevent", "gthread"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "max_tokens_param": ("max_completion_tokens", "max_tokens"),
    "disconnect_policy": ("cancel", "drain"),
    "budget_window": ("day", "month"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "web_concurrency": (0, 1_000),
    "worker_connections": (1, 1_000_000),
    "threads": (1, 10_000),
    "trusted_proxies": (0, 10),
    "max_tokens": (1, 10_000_000),
    "request_timeout_s": (0.001, 86_400),
    "connect_timeout_s": (0.001, 86_400),
    "first_token_timeout_s": (0.001, 86_400),
    "idle_timeout_s": (0.001, 86_400),
    "heartbeat_s": (0.001, 86_400),
    "retry_max_attempts": (1, 20),
    "breaker_failures": (1, 1_000_000),
    "breaker_cooldown_s": (0.001, 86_400),
    "max_concurrent_streams": (1, 1_000_000),
    "max_body_bytes": (1, 10_000_000_000),
    **{f"{whose}_concurrent_streams": (0, 1_000_000) for whose in ("user", "tenant", "address")},
    **{f"{whose}_budget_usd": (0, 1_000_000_000) for whose in ("user", "tenant")},
    **{f"{whose}_budget_tokens": (0, 10**15) for whose in ("user", "tenant")},
    "session_ttl_s": (60, 2_592_000),
    "token_max_ttl_s": (1, 2_592_000),
}
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


class ConfigError(Exception):
    """The settings do not allow a start. `faults` has one sentence for each fault."""

    exit_status = 4
    """What a gunicorn worker ends with to say that starting another one would be of no use."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(["The settings do not allow a start:", *(f"  - {fault}" for fault in faults)]))
        self.faults = faults


@dataclass(frozen=True, kw_only=True)
class Config:
    """One field for each environment variable of the same name in capitals; .env.example explains them."""

    app_env: str = "development"
    host: str = "127.0.0.1"
    port: int = 8000
    bind: str = ""
    web_concurrency: int = 0
    worker_class: str = "gevent"
    worker_connections: int = 2000
    threads: int = 64
    secret_key: str = field(default="", repr=False)
    trusted_proxies: int = 0
    log_level: str = "INFO"

    openai_api_key: str = field(default="", repr=False)
    openai_base_url: str = ""
    openai_org_id: str = ""
    azure_openai_endpoint: str = ""
    azure_openai_api_version: str = "2024-10-21"

    chat_model: str = "gpt-6.1-terra"
    chat_fallback_models: tuple[str, ...] = ("gpt-6-luna",)
    vision_model: str = "gpt-6.1-terra"
    embedding_model: str = "text-embedding-3-small"
    allowed_models: tuple[str, ...] = ()
    max_tokens: int = 8192
    max_tokens_param: str = "max_completion_tokens"
    system_prompt: str = ""
    allow_client_system_prompt: bool = True

    request_timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float = 45.0
    idle_timeout_s: float = 30.0
    heartbeat_s: float = 15.0
    max_body_bytes: int = 20 * 1024 * 1024

    retry_max_attempts: int = 3
    breaker_failures: int = 5
    breaker_cooldown_s: float = 30.0
    disconnect_policy: str = "cancel"
    max_concurrent_streams: int = 1000
    state_dir: str = "instance"
    redis_url: str = field(default="", repr=False)

    allowed_origins: tuple[str, ...] = ()
    cors_credentials: bool = False
    auth_required: bool = False
    user_budget_usd: float = 0.0
    user_budget_tokens: int = 0
    tenant_budget_usd: float = 0.0
    tenant_budget_tokens: int = 0
    budget_window: str = "month"
    rate_limit: str = ""
    tenant_rate_limit: str = ""
    address_rate_limit: str = ""
    user_concurrent_streams: int = 0
    tenant_concurrent_streams: int = 0
    address_concurrent_streams: int = 0
    prices_file: str = ""
    data_dir: str = "instance"
    database_url: str = field(default="sqlite:///instance/gatehouse.sqlite3", repr=False)
    session_ttl_s: int = 8 * 3600
    token_max_ttl_s: int = 24 * 3600
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks_url: str = ""
    jwt_secret: str = field(default="", repr=False)
    jwt_algorithm: str = "RS256"
    jwt_tenant: str = "default"
    jwt_scopes: tuple[str, ...] = ("chat", "vision", "embeddings", "structured", "usage")

    def __post_init__(self) -> None:
        faults = [*self._faults(), *(self._production_faults() if self.is_production else [])]
        if faults:
            raise ConfigError(faults)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Read the settings from the environment; an empty value counts as unset.

        Raises:
            ConfigError: a value is not of its kind, or the settings do not go together; all faults at once.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, object] = {}
        faults = []
        for name, reader in _READERS.items():
            text = environ.get(name.upper(), "").strip()
            if not text:
                continue
            try:
                values[name] = reader(text)
            except ValueError as error:
                faults.append(f"{name.upper()} {error}")
        try:
            config = cls(**values)  # type: ignore[arg-type]
        except ConfigError as error:
            raise ConfigError(faults + error.faults) from None
        if faults:
            raise ConfigError(faults)
        return config

    @property
    def is_production(self) -> bool:
        return self.app_env == "production"

    @property
    def is_offline(self) -> bool:
        """Whether the offline model answers, since no upstream is configured."""
        return not (self.openai_api_key or self.openai_base_url or self.azure_openai_endpoint)

    def models_offered(self, operation: str) -> tuple[str, ...]:
        """The models that callers may name for an operation, the default first."""
        own = {
            "vision": (self.vision_model,),
            "embeddings": (self.embedding_model,),
        }.get(operation, (self.chat_model, *self.chat_fallback_models))
        return (*own, *self.allowed_models)

    def fallbacks(self, operation: str, model: str) -> tuple[str, ...]:
        """The models that stand in for one, in their order.

        Only chat models have any: another one may not see images, and its vectors are of another space.
        """
        if operation in ("vision", "embeddings"):
            return ()
        return tuple(other for other in self.chat_fallback_models if other != model)

    def _faults(self) -> list[str]:
        faults = []
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                faults.append(f"{name.upper()} must be one of {', '.join(choices)}.")
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                faults.append(f"{name.upper()} must be from {least:g} to {most:g}.")
        for name in ("openai_base_url", "azure_openai_endpoint"):
            if getattr(self, name) and not _is_http_url(getattr(self, name)):
                faults.append(f"{name.upper()} must be an http:// or https:// URL.")
        for name, (form, sentence) in _FORMS.items():
            if getattr(self, name) and not re.fullmatch(form, getattr(self, name)):
                faults.append(f"{name.upper()} {sentence}")
        if self.azure_openai_endpoint and self.openai_base_url:
            faults.append("AZURE_OPENAI_ENDPOINT and OPENAI_BASE_URL exclude each other.")
        if self.azure_openai_endpoint and not self.openai_api_key:
            faults.append("AZURE_OPENAI_ENDPOINT needs OPENAI_API_KEY, the key of the Azure resource.")
        if not self.openai_api_key.isascii() or any(char <= " " for char in self.openai_api_key):
            faults.append("OPENAI_API_KEY has a character that no key has.")
        models = (self.chat_model, *self.chat_fallback_models, self.vision_model, self.embedding_model)
        for model in (*models, *self.allowed_models):
            if not _MODEL.fullmatch(model):
                faults.append(f"{model!r} cannot be the name of a model.")
        if self.auth_required and len(self.secret_key) < 32:
            faults.append("AUTH_REQUIRED needs a SECRET_KEY of at least 32 characters.")
        return faults + [
            f"ALLOWED_ORIGINS: {fault}" for origin in self.allowed_origins if (fault := _fault_of(origin))
        ]

    def _production_faults(self) -> list[str]:
        faults = []
        if not self.openai_api_key:
            faults.append("OPENAI_API_KEY is missing; the offline model is for development only.")
        if len(self.secret_key) < 32:
            faults.append("SECRET_KEY is missing or shorter than 32 characters.")
        if not self.allowed_origins:
            faults.append("ALLOWED_ORIGINS is missing; name the origin of your site.")
        return faults


def _fault_of(origin: str) -> str | None:
    if origin == "*":
        return "* is never allowed; name each origin."
    if not _ORIGIN.fullmatch(origin) or not _is_http_url(origin):
        return f"{origin!r} is not an origin such as https://www.example.com (no path, no wildcard)."
    return None


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and _HOST.fullmatch(parts.hostname or "") is not None
            and parts.port != 0
        )
    except ValueError:
        return False


def _text(text: str) -> str:
    return text


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number.") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number.") from None


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
    except KeyError:
        raise ValueError("must be true or false.") from None


def _list(text: str) -> tuple[str, ...]:
    return tuple(item for part in text.split(",") if (item := part.strip()))


def _origins(text: str) -> tuple[str, ...]:
    # As browsers write them: lower case, no slash at the end, no port where it is the scheme's own.
    return tuple(_without_own_port(origin.lower().rstrip("/")) for origin in _list(text))


def _without_own_port(origin: str) -> str:
    scheme, _, _ = origin.partition(":")
    return origin.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))


_BY_TYPE = {"str": _text, "int": _integer, "float": _number, "bool": _boolean, "tuple[str, ...]": _list}
_READERS = {name: _BY_TYPE[str(declared.type)] for name, declared in Config.__dataclass_fields__.items()} | {
    "allowed_origins": _origins,
    "log_level": str.upper,
}
