"""Check the upstream's address and keys: whether it answers like OpenAI and accepts each key, and why not; its clock."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from app.cli.doctor.certificate import check_certificate
from app.cli.doctor.clock import judge_clock
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.config import Config
from app.config.upstream_urls import split_version
from app.openai_service import Upstream
from app.openai_service.errors import QUOTA_CODES, UpstreamError
from app.openai_service.key_check import KeyCheck, check_each_key
from app.upstream_http.proxies import Proxy, find_proxy

_RENEW_DAYS = 7
_RENEW = "Renew it there. If your own authority issued it, set SSL_CERT_FILE to the certificate of that authority."
_IS_CLOSED = (
    "it closes the connection",
    "If the server uses TLS, the URL begins with https://; otherwise see its log.",
)
# A description and a hint for each class of error.
_FAILURES = {
    "ConnectionRefusedError": ("nothing listens there", "Check the host and the port, and that it runs."),
    "gaierror": ("its name cannot be resolved", "Check the host name, and this machine's DNS."),
    "SSLError": ("it does not use TLS there", "Check the port; without TLS, the URL begins with http://."),
    "ConnectionResetError": _IS_CLOSED,
    "ConnectionEnded": _IS_CLOSED,
}
# By the upstream's error code: the place from which it refuses every key, and a hint.
_REFUSED_PLACES = {
    "unsupported_country_region_territory": (
        "from this network",
        "The upstream does not serve the country of this server, or of its proxy.",
    ),
    "ip_not_authorized": (
        "from this address",
        "Add this server's address to the allowed addresses of the project at the upstream.",
    ),
}


def check_keys(config: Config) -> Iterator[Finding]:
    """Check that the upstream answers, accepts each key and has the models, and that its clock agrees with ours."""
    if config.is_offline:
        yield warning(
            "key", "There is no OPENAI_API_KEY: the offline model answers.", "Set OPENAI_API_KEY in .env."
        )
        return
    answers = list(check_each_key(config.connection))
    for answer in answers:
        yield from _judge(config, answer)
    if good := [answer for answer in answers if answer.is_list]:
        yield from _judge_models(config, frozenset().union(*(answer.models for answer in good)))
        if good[0].clock_ahead_s is not None:
            yield judge_clock(good[0].clock_ahead_s, "the upstream's")
        yield from _check_certificate(config)


def list_models(config: Config) -> list[str]:
    """Return all models that the settings name."""
    moderation = (config.moderation_model,) if config.moderation != "off" else ()
    return list(dict.fromkeys((*config.models.answering, config.embedding_model, *moderation)))


def _judge(config: Config, answer: KeyCheck) -> Iterator[Finding]:
    name = "The key" if len(config.api_keys) < 2 else f"Key {answer.number} of {len(config.api_keys)}"
    where = _name_upstream(config)
    if answer.is_list:
        yield ok("key", f"{name} is accepted by {where}.")
        return
    error = answer.error
    if error is None or error.upstream_status in (404, 405, 501):
        yield _judge_address(config, answer)
    elif error.upstream_status is None:
        yield from _judge_failure(config, error)
    else:
        yield _judge_refusal(name, where, answer, error, error.upstream_status)


def _judge_address(config: Config, answer: KeyCheck) -> Finding:
    where = _name_upstream(config)
    result = (
        "has no list of models"
        if answer.error is None
        else f"has no list of models ({answer.error.upstream_status})"
    )
    if answer.missing_path:
        return fault(
            "base url",
            f"{where} {result}, but {where}{answer.missing_path} has.",
            f"OPENAI_BASE_URL={where}{answer.missing_path}",
        )
    if answer.can_chat:
        return warning(
            "base url",
            f"{where} {result}, but answers chats; whether it has the models of the settings is unknown.",
            "Try a request with each model.",
        )
    reason = (
        "its answer is a page or comes from another program"
        if answer.error is None
        else "it has none of OpenAI's routes"
    )
    return fault(
        "base url",
        f"{where} {result}; {reason}.",
        "Check OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT: the host, and the path, which usually ends in /v1.",
    )


def _judge_failure(config: Config, error: UpstreamError) -> Iterator[Finding]:
    where, kind = _name_upstream(config), error.upstream_code
    if kind == "SSLCertVerificationError":
        found = [each for each in _check_certificate(config) if each.state == "fault"]
        yield from found or [fault("certificate", f"The certificate of {where} is not valid.", _RENEW)]
        return
    words, hint = _FAILURES.get(kind or "", ("it does not answer", "Check the URL, the proxy and the firewall."))
    reason = kind or "no answer in time"
    if _find_proxy(config) is not None:
        words, hint = (
            "the proxy does not answer, or refuses the connection",
            "Check HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, and NO_PROXY.",
        )
    yield fault("base url", f"{where} cannot be reached: {words} ({reason}).", hint)


def _judge_refusal(name: str, where: str, answer: KeyCheck, error: UpstreamError, status: int) -> Finding:
    code = error.upstream_code or ""
    shown = f"{status} {code}".strip() if code in _REFUSED_PLACES or code in QUOTA_CODES else str(status)
    if status == 402 or code in QUOTA_CODES:
        return fault(
            "key",
            f"The account of {name.lower()} has no credit left, or has reached its limit ({shown}).",
            "Add credit or raise the limit on the upstream's billing pages.",
        )
    if code in _REFUSED_PLACES:
        place, hint = _REFUSED_PLACES[code]
        return fault("key", f"{where} refuses {name.lower()} {place} ({shown}).", hint)
    if status == 401 or code == "invalid_api_key":
        return fault(
            "key",
            f"{name} is refused ({shown}).",
            "Set OPENAI_API_KEY to a valid key of the service at OPENAI_BASE_URL.",
        )
    if status == 403 and answer.can_chat is not False:
        return warning(
            "key",
            f"{name} may not list models (403); whether it may use those of the settings is unknown.",
            "Grant it that permission, or try a request with each model: a restricted key may still chat.",
        )
    if status == 403:
        return fault("key", f"{name} may neither list models nor chat (403).", "Grant it these permissions.")
    if 300 <= status < 400:
        return fault(
            "base url",
            f"{where} answers with a redirect ({status}), which is not followed with a key.",
            "Set OPENAI_BASE_URL to the target of the redirect.",
        )
    return fault(
        "key",
        f"{where} answers {status} to {name.lower()}.",
        "Wait and try again; then check the upstream's status page, your account there, or its log.",
    )


def _name_upstream(config: Config) -> str:
    return split_version(config.azure_openai_endpoint or config.openai_base_url or "OpenAI")[0].rstrip("/")


def _judge_models(config: Config, offered: frozenset[str]) -> Iterator[Finding]:
    if not Upstream.from_settings(config.upstream).has_openai_models:
        return  # Azure lists models, not deployments
    if missing := [model for model in list_models(config) if model not in offered]:
        yield fault(
            "models",
            f"The upstream does not list {', '.join(missing)}.",
            "Correct the model's name, or give the key's project access to it.",
        )
    else:
        yield ok("models", "The upstream has each model of the settings.")


def _find_proxy(config: Config) -> Proxy | None:
    parts = urlsplit(config.azure_openai_endpoint or config.openai_base_url or "https://api.openai.com/v1")
    return find_proxy(parts.scheme, parts.hostname or "")


def _check_certificate(config: Config) -> Iterator[Finding]:
    """Check the certificate of an upstream other than OpenAI, which renews its own."""
    parts = urlsplit(config.azure_openai_endpoint or config.openai_base_url)
    if parts.scheme != "https" or not parts.hostname or _find_proxy(config) is not None:
        return
    found = check_certificate(parts.hostname, parts.port or 443, renew=_RENEW, renew_days=_RENEW_DAYS)
    if found.state != "ok":
        yield found
