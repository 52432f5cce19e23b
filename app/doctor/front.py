"""What a browser meets at the site's URL: certificate, streams, CORS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import httpx2

from app.config import Config
from app.doctor import probe
from app.doctor.finding import Finding, fault, ok, warning

_TIMEOUT_S = 10.0
_RENEW_DAYS = 21
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_settings(config: Config, origin: str | None) -> Iterator[Finding]:
    """Check what the settings say of an origin."""
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
            "Add it exactly as a browser writes it: scheme, host, and the port if it is unusual; then reload.",
        )


def check_url(url: str | None, origin: str | None, config: Config | None) -> Iterator[Finding]:
    """Check the site from outside, as a browser sees it."""
    assert url is not None
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield fault("url", "--url is no URL of a site.", "Give it as https://chat.example.com.")
        return
    if parts.scheme == "https":
        yield _check_certificate(parts)
    elif parts.hostname not in _LOOPBACK:
        yield warning(
            "url",
            f"{parts.netloc} is asked over plain http.",
            "Use https: passwords and prompts can be read on the way.",
        )
    base = parts.geturl()
    with httpx2.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        try:
            health = client.get(f"{base}/healthz")
        except httpx2.HTTPError as error:
            yield fault(
                "url",
                f"{base} does not answer ({type(error).__name__}).",
                "Check that Nginx and the service run, and DNS and the firewall.",
            )
            return
        if health.status_code != 200 or b'"alive"' not in health.content:
            yield fault(
                "url",
                f"{base}/healthz answers {health.status_code}, but not as Gatehouse does.",
                "Something else answers there: check the proxy's site, and the path in the URL.",
            )
            return
        yield ok("url", f"{base} answers.")
        yield _check_stream(client, base, config)
        if origin is not None:
            yield _check_cors(client, base, origin)


def _check_certificate(parts: SplitResult) -> Finding:
    host, port = parts.hostname or "", parts.port or 443
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            found = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return fault(
            "certificate",
            f"The certificate of {host} is not valid: {error.verify_message}.",
            "Renew it, or have the proxy send the whole chain: `certbot renew`.",
        )
    except OSError as error:
        return fault(
            "certificate",
            f"No TLS connection to {host}:{port} ({error.strerror or type(error).__name__}).",
            "Check that the proxy listens there with a certificate.",
        )
    days = (ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time()) / 86_400
    if days < _RENEW_DAYS:
        return warning(
            "certificate",
            f"The certificate of {host} expires in {days:.0f} days.",
            "Its renewal does not work: `certbot renew --dry-run` says why.",
        )
    return ok("certificate", f"The certificate of {host} is valid for {days:.0f} more days.")


def _check_stream(client: httpx2.Client, base: str, config: Config | None) -> Finding:
    if config is None or not config.secret_key:
        return warning("stream", "Streams were not tried, which needs SECRET_KEY.", "Set SECRET_KEY.")
    arrived = []
    headers = {probe.HEADER: probe.sign(config.secret_key), "Accept-Encoding": "gzip, br"}
    with client.stream("GET", f"{base}{probe.PATH}", headers=headers) as response:
        if response.status_code != 200:
            return warning(
                "stream",
                f"The test stream gets {response.status_code}.",
                "Is it the same installation, with the same SECRET_KEY, and reloaded?",
            )
        encoding = response.headers.get("content-encoding", "")
        for piece in response.iter_raw():
            arrived += [time.monotonic()] * (piece.count(b"\n\n") or 1)
    whole_s = (probe.EVENTS - 1) * probe.INTERVAL_S
    if not arrived or arrived[-1] - arrived[0] < whole_s / 2:
        return fault(
            "stream",
            "A stream arrives in one piece: something in front buffers it.",
            "proxy_buffering off for the routes that stream (deploy/nginx.conf), also in a CDN in front.",
        )
    if encoding:
        return warning(
            "stream",
            f"Streams are compressed on the way ({encoding}).",
            "Leave text/event-stream out of gzip_types.",
        )
    return ok("stream", "A stream arrives event by event.")


def _check_cors(client: httpx2.Client, base: str, origin: str) -> Finding:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = client.options(f"{base}/api/chat", headers=asked)
    allowed = answer.headers.get("access-control-allow-origin")
    if allowed == origin:
        return ok("cors", f"Pages of {origin} may call {base}.")
    said = "has no CORS headers" if allowed is None else f"allows {allowed}"
    return fault(
        "cors",
        f"The answer to a preflight of {origin} ({answer.status_code}) {said}.",
        "Add the origin to ALLOWED_ORIGINS and reload; see to it that no proxy answers OPTIONS itself or removes headers.",
    )
