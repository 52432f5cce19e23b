"""Check the timeouts of Nginx, systemd, gunicorn and the application: each outer one must be longer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from app.cli.doctor.files import UNITS
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.cli.doctor.machine import count_descriptors
from app.config import Config

# As in gunicorn.conf.py.
GRACE_S = 15
KEEPALIVE_S = 5

_NGINX = Path("/etc/nginx")
_SITES = ("sites-enabled", "conf.d")
_UNIT_S = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
_UNIT_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def check_timeouts(config: Config, nginx: Path = _NGINX, units: Path = UNITS) -> Iterator[Finding]:
    """Check the timeouts and sizes of the application, of an Nginx site for it, and of the systemd unit."""
    found = [*_check_own(config), *_check_nginx(config, nginx), *_check_unit(config, units)]
    yield from found or [ok("timeouts", "The timeouts and sizes fit together.")]


def _check_own(config: Config) -> Iterator[Finding]:
    for name in ("first_token_timeout_s", "idle_timeout_s", "connect_timeout_s", "heartbeat_s"):
        if getattr(config, name) > config.request_timeout_s:
            yield warning(
                "timeouts",
                f"{name.upper()} is longer than REQUEST_TIMEOUT_S, which ends the request first.",
                f"Lower {name.upper()}, or raise REQUEST_TIMEOUT_S.",
            )


def _check_nginx(config: Config, nginx: Path) -> Iterator[Finding]:
    has_site = False
    for folder in (nginx / name for name in _SITES):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                text = re.sub(r"#.*", "", path.read_text())
            except (OSError, UnicodeDecodeError):
                continue
            if "gatehouse" in text and "proxy_pass" in text:
                has_site = True
                yield from _check_site(config, path, text)
    if has_site:
        yield from _check_connections(config, nginx / "nginx.conf")


def _check_site(config: Config, path: Path, text: str) -> Iterator[Finding]:
    read_s = _find_time(text, "proxy_read_timeout", 60.0)
    if read_s <= max(config.request_timeout_s, config.heartbeat_s):
        yield fault(
            "timeouts",
            f"proxy_read_timeout in {path} is {read_s:g} s, not longer than REQUEST_TIMEOUT_S: Nginx answers 504 first.",
            f"Set it to {config.request_timeout_s + GRACE_S:g}s; `flask nginx-conf` prints a correct site.",
        )
    keepalive_s = min(_find_times(text, "keepalive_timeout") or [60.0])
    if re.search(r"^\s*keepalive\s+\d", text, re.MULTILINE) and keepalive_s >= KEEPALIVE_S:
        yield warning(
            "timeouts",
            f"keepalive_timeout of the upstream in {path} is {keepalive_s:g} s, not shorter than gunicorn's {KEEPALIVE_S} s.",
            "Set it to 3s; otherwise, some requests get 502 on connections that gunicorn closes.",
        )
    if re.search(r"\bproxy_ignore_headers\b[^;]*\bX-Accel-Buffering\b", text, re.IGNORECASE):
        yield warning(
            "timeouts",
            f"proxy_ignore_headers in {path} has X-Accel-Buffering, with which the application turns off buffering of streams.",
            "Remove it: streams may arrive in one piece. `flask doctor --url` tests that.",
        )
    size = re.search(r"client_max_body_size\s+(\d+)([kmg]?);", text, re.IGNORECASE)
    allowed = int(size[1]) * _UNIT_BYTES[size[2].lower()] if size else 1024**2
    if 0 < allowed < config.max_body_bytes:
        yield warning(
            "timeouts",
            f"client_max_body_size in {path} allows {allowed} bytes, but MAX_BODY_BYTES {config.max_body_bytes}.",
            "Change both together.",
        )


def _check_connections(config: Config, nginx: Path) -> Iterator[Finding]:
    """Check that Nginx has enough connections for the maximum of streams, each of which needs two."""
    try:
        text = re.sub(r"#.*", "", nginx.read_text())
    except (OSError, UnicodeDecodeError):
        return
    if not (found := re.search(r"\bworker_connections\s+(\d+);", text)):
        return
    named = re.search(r"\bworker_processes\s+(\d+);", text)
    processes = int(named[1]) if named else os.cpu_count() or 1
    streams = int(found[1]) * processes // 2
    if streams < config.max_concurrent_streams:
        yield warning(
            "limits",
            f"Nginx has connections for {streams} streams (worker_connections in {nginx}), but MAX_CONCURRENT_STREAMS is {config.max_concurrent_streams}.",
            "Raise worker_connections and worker_rlimit_nofile there, and restart Nginx.",
        )


def _check_unit(config: Config, folder: Path) -> Iterator[Finding]:
    unit = folder / "gatehouse.service"
    drop_ins = sorted((folder / "gatehouse.service.d").glob("*.conf"))
    text = "\n".join(each.read_text() for each in (unit, *drop_ins) if each.is_file())
    files = re.findall(r"^LimitNOFILE=(\d+)", text, re.MULTILINE)
    if files and int(files[-1]) < (descriptors := count_descriptors(config)):
        yield warning(
            "limits",
            f"LimitNOFILE of the unit is {files[-1]}; one worker needs up to {descriptors} open files for its streams.",
            f"Set LimitNOFILE={descriptors} with `systemctl edit gatehouse`, and restart.",
        )
    stop = re.findall(r"^TimeoutStopSec=(\d+)\s*$", text, re.MULTILINE)
    needed_s = 2 * (config.request_timeout_s + GRACE_S)
    if stop and int(stop[-1]) < needed_s:
        yield warning(
            "timeouts",
            f"TimeoutStopSec of the unit is {stop[-1]} s; a stop during a reload can take {needed_s:g} s.",
            f"Set TimeoutStopSec={needed_s + GRACE_S:g} with `systemctl edit gatehouse`.",
        )


def _find_times(text: str, name: str) -> list[float]:
    return [float(number) * _UNIT_S[unit] for number, unit in re.findall(rf"\b{name}\s+(\d+)(ms|s|m|h|);", text)]


def _find_time(text: str, name: str, default: float) -> float:
    return min(_find_times(text, name) or [default])
