"""The keys, the models, their prices and shutdowns, the clock."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from app.config import Config
from app.doctor.finding import Finding, fault, ok, warning
from app.model_families import find_family
from app.openai_service import Upstream
from app.openai_service.errors import UpstreamError
from app.openai_service.key_check import KeyAnswer, ask_with_each_key
from app.pricing.catalog import Prices

# Tokens are refused that are further in the future than 30 s.
_CLOCK_S = 10


def check_keys(config: Config) -> Iterator[Finding]:
    """Check that the upstream answers, takes each key and has the models, and that its clock is ours."""
    if config.is_offline:
        yield warning(
            "key", "There is no OPENAI_API_KEY: the offline model answers.", "Set OPENAI_API_KEY in .env."
        )
        return
    answers = list(ask_with_each_key(config.connection))
    for answer in answers:
        yield _judge_key(config, answer)
    good = [answer for answer in answers if answer.error is None]
    if good:
        yield from _judge_models(config, frozenset().union(*(answer.models for answer in good)))
        yield from _judge_clock(good[0].clock_ahead_s)


def check_models(root: Path, config: Config) -> Iterator[Finding]:
    """Check that each model has a price, and whether one is shut down."""
    if config.is_offline:
        return
    prices = Prices(root / config.prices_file if config.prices_file else None)
    has_budget = any((config.user_budget_usd, config.tenant_budget_usd, config.anonymous_budget_usd))
    models = _list_models(config)
    unpriced = [model for model in models if prices.bound_micro_usd(model, 1, 1) is None]
    if unpriced:
        tell = fault if has_budget else warning
        effect = "is refused, as there is a budget in dollars" if has_budget else "counts nothing in dollars"
        yield tell(
            "prices",
            f"No price is known of {', '.join(unpriced)}: its use {effect}.",
            "Name its price in PRICES_FILE.",
        )
    else:
        yield ok("prices", "The price of each model is known.")
    if not Upstream.from_settings(config.upstream).has_openai_models:
        return
    today = datetime.datetime.now(datetime.UTC).date()
    for model in models:
        family = find_family(model)
        if family is None or family.shutdown is None:
            continue
        days = (family.shutdown - today).days
        if days < 0:
            yield fault(
                "shutdown",
                f"{model} was shut down on {family.shutdown}.",
                "Name another model; docs/models.md lists them.",
            )
        else:
            tell = fault if days < 7 else warning
            yield tell(
                "shutdown",
                f"{model} is shut down on {family.shutdown}, in {days} days.",
                "Name another model until then.",
            )


def _judge_key(config: Config, answer: KeyAnswer) -> Finding:
    name = "The key" if len(config.api_keys) < 2 else f"Key {answer.number} of {len(config.api_keys)}"
    error = answer.error
    if error is None:
        return ok("key", f"{name} is accepted by {_name_upstream(config)}.")
    status, code = error.upstream_status, error.upstream_code
    if status == 401 or code == "invalid_api_key":
        return fault(
            "key",
            f"{name} is refused ({status}).",
            "Put a valid key into OPENAI_API_KEY, of the service that OPENAI_BASE_URL names.",
        )
    if status == 403:
        return warning(
            "key",
            f"{name} may not list models (403).",
            "Give it that right, or try a request: a restricted key may still chat.",
        )
    if status in (404, 405, 501):
        return warning(
            "base url",
            f"{_name_upstream(config)} has no list of models ({status}).",
            "Check OPENAI_BASE_URL, which usually ends in /v1.",
        )
    if status is None:
        return fault(
            "base url",
            f"{_name_upstream(config)} cannot be reached ({_name_failure(error)}).",
            "Check OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT, DNS, proxy and firewall.",
        )
    return fault(
        "key",
        f"{_name_upstream(config)} answers {status}{f' {code}' if code else ''} to {name.lower()}.",
        "Look at the status page and the account of the upstream.",
    )


def _name_failure(error: UpstreamError) -> str:
    return error.upstream_code or "no answer in time"


def _name_upstream(config: Config) -> str:
    return config.azure_openai_endpoint or config.openai_base_url or "OpenAI"


def _judge_models(config: Config, offered: frozenset[str]) -> Iterator[Finding]:
    if not offered or not Upstream.from_settings(config.upstream).has_openai_models:
        return  # Azure lists models, not deployments
    if missing := [model for model in _list_models(config) if model not in offered]:
        yield fault(
            "models",
            f"The upstream does not list {', '.join(missing)}.",
            "Correct the model's name, or give the key's project access to it.",
        )
    else:
        yield ok("models", "The upstream has each model of the settings.")


def _judge_clock(ahead_s: float | None) -> Iterator[Finding]:
    if ahead_s is None:
        return
    if abs(ahead_s) > _CLOCK_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        yield fault(
            "clock",
            f"This machine's clock is {abs(ahead_s):.0f} s {side} the upstream's.",
            "Synchronize it: `timedatectl set-ntp true`.",
        )
    else:
        yield ok("clock", "The clock agrees with the upstream's.")


def _list_models(config: Config) -> list[str]:
    moderation = (config.moderation_model,) if config.moderation != "off" else ()
    return list(dict.fromkeys((*config.models.answering, config.embedding_model, *moderation)))
