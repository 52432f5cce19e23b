"""Say who can use a development server that listens beyond this machine, with the key of its owner."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config.settings import Config


def describe_exposure(config: Config) -> str | None:
    """Return what it means if others can reach a development server with a real upstream; None if they cannot."""
    if config.is_production or config.is_offline or config.bind.startswith("unix:"):
        return None
    host = config.bind.rpartition(":")[0] if config.bind else config.host
    if _is_loopback(host.strip("[]")):
        return None
    where = f"BIND={config.bind}" if config.bind else f"HOST={config.host}"
    what = "your OPENAI_API_KEY" if config.openai_api_key else "your upstream"
    credential = (
        "with the cookie that the page at / gives to everyone" if config.auth_required else "without a credential"
    )
    limit = "" if config.anonymous_budget_usd else " and without a common limit"
    return (
        f"{where} with APP_ENV=development: everyone who can reach this machine can use {what}, {credential}{limit}."
        " Set HOST=127.0.0.1, or APP_ENV=production."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
