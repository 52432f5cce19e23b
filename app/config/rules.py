"""Check the rules that involve several settings or the items of a list, and warn of an exposed development server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.config import formats
from app.config.formats import MIN_SECRET_CHARS
from app.config.identity_provider import VISITOR_SCOPES, find_provider_problems
from app.config.models import IMAGE_GENERATION
from app.config.origins import check_host, check_origin
from app.config.upstream_urls import check_key, is_openai, is_placeholder

if TYPE_CHECKING:
    from app.config.settings import Config


def find_problems(config: Config) -> list[str]:
    """Return one sentence for each rule that the settings break."""
    rules = [
        _check_upstream,
        _check_hosted_tools,
        _check_models,
        _check_token_rates,
        _check_access,
        _check_anonymous_scopes,
        _check_outbox,
        find_provider_problems,
    ]
    if config.is_production:
        rules.append(_check_production)
    return [problem for rule in rules for problem in rule(config)]


def describe_exposure(config: Config) -> str | None:
    """Return a warning if other machines can reach a development server with a real upstream, else None."""
    if config.is_production or config.is_offline:
        return None
    addresses = [each for each in config.bind.split(",") if not each.startswith("unix:")]
    hosts = [each.rpartition(":")[0] for each in addresses] if config.bind else [config.host]
    if all(_is_loopback(host.strip("[]")) for host in hosts):
        return None
    where = f"BIND={config.bind}" if config.bind else f"HOST={config.host}"
    what = "your OPENAI_API_KEY" if config.openai_api_key else "your upstream"
    credential = (
        "with the cookie that the page at / sets for everyone" if config.auth_required else "without a credential"
    )
    limit = "" if config.anonymous_budget_usd else " and without a common budget"
    return (
        f"{where} with APP_ENV=development: everyone who can reach this machine can use {what}, {credential}{limit}."
        " Set HOST=127.0.0.1, or APP_ENV=production."
    )


def _check_upstream(config: Config) -> Iterator[str]:
    if config.azure_openai_endpoint and config.openai_base_url:
        yield "AZURE_OPENAI_ENDPOINT and OPENAI_BASE_URL exclude each other."
    if config.azure_openai_endpoint and not config.api_keys:
        yield "AZURE_OPENAI_ENDPOINT needs OPENAI_API_KEY, the key of the Azure resource."
    if config.azure_openai_endpoint and config.moderation != "off":
        yield "MODERATION must be off with AZURE_OPENAI_ENDPOINT: Azure has no moderation endpoint."
    for name, keys in (("OPENAI_API_KEY", (config.openai_api_key,)), ("OPENAI_API_KEYS", config.openai_api_keys)):
        for problem in dict.fromkeys(filter(None, (check_key(key) for key in keys))):
            yield f"{name} {problem}"
        if is_openai(config.openai_base_url) and any(is_placeholder(key) for key in keys):
            yield f"{name} is a placeholder: replace it with your own key."
    if unsendable := formats.check_header_value(config.openai_org_id):
        yield f"OPENAI_ORG_ID {unsendable}"


def _check_hosted_tools(config: Config) -> Iterator[str]:
    if config.allowed_openai_tools and config.upstream_api == "chat":
        yield "ALLOWED_OPENAI_TOOLS needs /responses, which UPSTREAM_API=chat never calls."
    if IMAGE_GENERATION in config.allowed_openai_tools and not config.openai_image_price_usd:
        yield (
            f"ALLOWED_OPENAI_TOOLS has {IMAGE_GENERATION}, whose cost is not known in advance: set OPENAI_IMAGE_PRICE_USD"
            " to the maximum cost of one image, such as 0.5."
        )


def _check_models(config: Config) -> Iterator[str]:
    named = {
        "CHAT_MODEL": (config.chat_model,),
        "CHAT_FALLBACK_MODELS": config.models.fallbacks["chat"],
        "VISION_MODEL": (config.vision_model,),
        "EMBEDDING_MODEL": (config.embedding_model,),
        "ALLOWED_MODELS": config.allowed_models,
        "MODERATION_MODEL": (config.moderation_model,),
    }
    for name, models in named.items():
        for problem in filter(None, map(formats.check_model, models)):
            yield f"{name}: {problem}"


def _check_token_rates(config: Config) -> Iterator[str]:
    for name in ("token_rate_limit", "tenant_token_rate_limit", "address_token_rate_limit"):
        allowed = getattr(config, name).partition("/")[0]
        if allowed.isdigit() and int(allowed) < config.max_tokens:
            yield f"{name.upper()} is less than MAX_TOKENS: every request would be refused."


def _check_access(config: Config) -> Iterator[str]:
    if config.secret_key_fallbacks and not config.secret_key:
        yield "SECRET_KEY_FALLBACKS needs SECRET_KEY, which signs new tokens."
    if any(len(secret) < MIN_SECRET_CHARS for secret in config.secret_key_fallbacks):
        yield f"SECRET_KEY_FALLBACKS has a secret of fewer than {MIN_SECRET_CHARS} characters."
    if config.pseudonym_secret and len(config.pseudonym_secret) < MIN_SECRET_CHARS:
        yield f"PSEUDONYM_SECRET has fewer than {MIN_SECRET_CHARS} characters."
    if config.auth_required and not config.is_production and len(config.secret_key) < MIN_SECRET_CHARS:
        yield f"AUTH_REQUIRED needs a SECRET_KEY of at least {MIN_SECRET_CHARS} characters."
    for name in config.allowed_tools:
        if problem := formats.check_name(name):
            yield f"ALLOWED_TOOLS: {problem}"
    for network in config.metrics_allow:
        if problem := formats.check_network(network):
            yield f"METRICS_ALLOW: {problem}"
    for origin in config.allowed_origins:
        if problem := check_origin(origin):
            yield f"ALLOWED_ORIGINS: {problem}"
    for host in config.trusted_hosts:
        if problem := check_host(host):
            yield f"TRUSTED_HOSTS: {problem}"
    for header in config.cors_allowed_headers:
        if problem := formats.check_header(header):
            yield f"CORS_ALLOWED_HEADERS: {problem}"


def _check_outbox(config: Config) -> Iterator[str]:
    if bool(config.usage_webhook_url) != bool(config.usage_webhook_secret):
        yield "USAGE_WEBHOOK_URL and USAGE_WEBHOOK_SECRET must be set together."
    if bool(config.stripe_api_key) != bool(config.stripe_meter):
        yield "STRIPE_API_KEY and STRIPE_METER must be set together."
    for each in config.stripe_customers:
        tenant, _, customer = each.partition("=")
        if not tenant or not (customer == "none" or customer.startswith("cus_")):
            yield f"STRIPE_CUSTOMERS: {each!r} must be like acme=cus_123, or acme=none for a tenant that is not billed."


def _check_anonymous_scopes(config: Config) -> Iterator[str]:
    for scope in config.anonymous_scopes or ():
        if scope == "batches":
            yield "ANONYMOUS_SCOPES: batches always need a credential; BATCHES sets who may submit them."
        elif scope not in VISITOR_SCOPES:
            yield f"ANONYMOUS_SCOPES: {scope!r} is not one of {', '.join(sorted(VISITOR_SCOPES))}."


def _check_production(config: Config) -> Iterator[str]:
    if not config.api_keys:
        yield "OPENAI_API_KEY is missing; the offline model is for development only."
    if len(config.secret_key) < MIN_SECRET_CHARS:
        yield f"SECRET_KEY is missing or shorter than {MIN_SECRET_CHARS} characters."
    if not config.allowed_origins:
        yield "ALLOWED_ORIGINS is missing; set it to the origin of your site."
    bounds = (
        ("ADDRESS_RATE_LIMIT", config.address_rate_limit),
        ("ANONYMOUS_BUDGET_USD", config.anonymous_budget_usd),
    )
    missing = [name for name, value in bounds if not value]
    if missing and not config.auth_required:
        yield (
            "AUTH_REQUIRED is not true, so anyone can spend your money: set it to true, or limit callers without a"
            f" credential with {' and '.join(missing)}."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
