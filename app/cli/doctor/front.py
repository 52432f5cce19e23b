"""Check the site at its public URL, as a browser sees it: certificate, streams, CORS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2

from app.cli.doctor.certificate import check_certificate
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.cli.doctor.reasons import find_reason
from app.config import Config
from app.runtime import doctor_probe

_TIMEOUT_S = 10.0
_RENEW_DAYS = 21
_RENEW = "Renew it, or make the proxy send the complete chain: `certbot renew --dry-run` shows why renewal fails."
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_settings(config: Config, origin: str | None) -> Iterator[Finding]:
    """Check whether the settings allow an origin."""
    if origin is None:
        return
    host = urlsplit(origin).netloc
    if origin in config.allowed_origins:
        yield ok("origin", f"ALLOWED_ORIGINS has {origin}.")
    elif host in config.trusted_hosts:
        yield ok("origin", f"{origin} is the site's own, by TRUSTED_HOSTS.")
    else:
        yield fault(
            "origin",
            f"{origin} is not in ALLOWED_ORIGINS.",
            "Add it exactly as a browser writes it: scheme, host, and the port unless it is the default; then reload.",
        )


def check_url(url: str | None, origin: str | None, config: Config | None) -> Iterator[Finding]:
    """Check the site from outside, as a browser sees it."""
    assert url is not None
    try:
        parts = urlsplit(url.rstrip("/"))
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        yield fault("url", "--url is not the URL of a site.", "Write it like https://chat.example.com.")
        return
    assert parts.hostname
    if parts.scheme == "https":
        yield check_certificate(parts.hostname, parts.port or 443, renew=_RENEW, renew_days=_RENEW_DAYS)
    elif parts.hostname not in _LOOPBACK:
        yield warning(
            "url",
            f"{parts.hostname} is called over plain http.",
            "Use https: over http, others on the network can read passwords and prompts.",
        )
    base, shown = parts.geturl(), parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with httpx2.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        try:
            health = client.get(f"{base}/healthz")
        except httpx2.HTTPError as error:
            yield fault(
                "url",
                f"{shown} does not answer ({find_reason(error)}).",
                "Check that Nginx and the service run, and DNS and the firewall.",
            )
            return
        if health.status_code != 200 or b'"alive"' not in health.content:
            yield _judge_foreign_answer(shown, health)
            return
        yield ok("url", f"{shown} answers.")
        yield _try(lambda: _check_stream(client, base, config), "stream")
        if origin is not None:
            yield _try(lambda: _check_cors(client, base, origin), "cors")


def _try(check: Callable[[], Finding], name: str) -> Finding:
    try:
        return check()
    except httpx2.HTTPError as error:
        return fault(
            name,
            f"The answer is incomplete or does not arrive ({find_reason(error)}).",
            "See the log of the reverse proxy, and `journalctl -u gatehouse`.",
        )


def _judge_foreign_answer(site: str, answer: httpx2.Response) -> Finding:
    """Explain an answer that does not come from Gatehouse."""
    status = answer.status_code
    if 300 <= status < 400:
        target = answer.headers.get("location", "").partition("?")[0].removesuffix("/healthz")
        return fault(
            "url",
            f"{site} answers with a redirect ({status}), to {target or 'nowhere'}.",
            "Use that URL instead.",
        )
    if status == 421:
        return fault(
            "url",
            f"The host name in {site} is not one of the site's names ({status}).",
            "Add the name to TRUSTED_HOSTS, and to server_name and $gatehouse_is_own_name of the Nginx site.",
        )
    if status in (502, 503, 504):
        return fault(
            "url",
            f"The proxy at {site} cannot reach the service ({status}).",
            "Run `systemctl status gatehouse`; then compare BIND, or HOST and PORT, with the upstream of the Nginx site.",
        )
    if status in (401, 403, 407):
        return fault(
            "url",
            f"Something in front of {site} requires a credential, or blocks this machine ({status}).",
            "Allow /healthz there; a load balancer needs it as well.",
        )
    return fault(
        "url",
        f"{site}/healthz answers {status}, but not as Gatehouse does.",
        "Another program answers there: check the site of the proxy, and the path in the URL.",
    )


def _check_stream(client: httpx2.Client, base: str, config: Config | None) -> Finding:
    if config is None or not config.secret_key:
        return warning("stream", "Streams were not tested, because that needs SECRET_KEY.", "Set SECRET_KEY.")
    arrived = []
    headers = {doctor_probe.HEADER: doctor_probe.sign(config.secret_key), "Accept-Encoding": "gzip, br"}
    with client.stream("GET", f"{base}{doctor_probe.PATH}", headers=headers) as response:
        if response.status_code != 200:
            return warning(
                "stream",
                f"The test stream was answered with status {response.status_code}.",
                "Check that the site is this installation, has the same SECRET_KEY and was reloaded.",
            )
        encoding = response.headers.get("content-encoding", "")
        for piece in response.iter_raw():
            arrived += [time.monotonic()] * (piece.count(b"\n\n") or 1)
    whole_s = (doctor_probe.EVENTS - 1) * doctor_probe.INTERVAL_S
    if not arrived or arrived[-1] - arrived[0] < whole_s / 2:
        return fault(
            "stream",
            "A stream arrives in one piece: a proxy buffers it.",
            "Set proxy_buffering off for the routes that stream (deploy/nginx.conf), and the same in a CDN.",
        )
    if encoding:
        return warning(
            "stream",
            f"A proxy compresses streams ({encoding}).",
            "Remove text/event-stream from gzip_types.",
        )
    return ok("stream", "A stream arrives event by event.")


def _check_cors(client: httpx2.Client, base: str, origin: str) -> Finding:
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = client.options(f"{base}/api/chat", headers=preflight)
    allowed = answer.headers.get("access-control-allow-origin")
    if allowed == origin:
        return ok("cors", f"Pages of {origin} may call the API.")
    result = "has no CORS headers" if allowed is None else f"allows {allowed}"
    return fault(
        "cors",
        f"The answer to a preflight of {origin} ({answer.status_code}) {result}.",
        "Add the origin to ALLOWED_ORIGINS and reload; check that no proxy answers OPTIONS itself or removes headers.",
    )
