"""Reports faults that only the site's owner can fix: a refused key, a used-up quota, an unknown model, a wrong base URL."""

from __future__ import annotations

import logging
from collections.abc import Collection

import orjson

from app.openai_service.errors import LARGER_THAN_RATE, MODEL_GONE_CODES, QUOTA_CODES, UpstreamError, UserBlocked
from app.openai_service.resilience.retry import LOCAL_CODES
from app.openai_service.results import CallRecord
from app.runtime.log_throttle import LogThrottle
from app.storage.shared_state import SharedState

log = logging.getLogger(__name__)

# The codes and statuses of each kind of fault. The first match counts.
_FAULTS: tuple[tuple[str, Collection[str], Collection[int]], ...] = (
    ("quota", QUOTA_CODES, (402,)),
    ("queue", ("token_limit_exceeded",), ()),
    ("rate", (LARGER_THAN_RATE,), ()),
    ("account", ("invalid_organization", "mismatched_organization", "organization_not_found"), ()),
    ("account", ("invalid_project", "mismatched_project", "project_not_found"), ()),
    ("place", ("unsupported_country_region_territory", "ip_not_authorized"), ()),
    ("permission", ("missing_scope",), ()),
    ("key", ("invalid_api_key",), (401,)),
    ("model", MODEL_GONE_CODES, ()),
    ("permission", (), (403,)),
    ("address", (), (404, 405, *range(300, 400))),
    ("machine", LOCAL_CODES, ()),
    # Without a response, the code is the class of the first error in the chain.
    ("connection", ("gaierror", "ConnectionRefusedError", "SSLCertVerificationError", "SSLError"), ()),
)
_HINTS = {
    "quota": "The quota of the upstream's account is used up: add credit or raise its limit"
    " (OpenAI: platform.openai.com/settings/organization/billing).",
    "queue": "The batches in progress have reached the account's limit of queued tokens for {model}: wait until some have"
    " ended, or have the limit raised.",
    "rate": "A single request needs more tokens than the account's limit per minute for {model}: lower"
    " MAX_INPUT_TOKENS and MAX_TOKENS, or have the limit raised.",
    "account": "The upstream does not find the organization or project of this key ({code}): set OPENAI_ORG_ID to the"
    " organization of OPENAI_API_KEY, or unset it, and use a key of an existing project.",
    "place": "The upstream does not serve this server's address ({code}): run it in a supported country, and add its"
    " address to the project's IP allowlist, if there is one.",
    "permission": "The upstream does not let OPENAI_API_KEY use {model}: check the permissions of the key and of its"
    " project, and the server's country.",
    "key": "The upstream refuses OPENAI_API_KEY: it is wrong, revoked, or of another service."
    " Put a valid key into .env, or the file of OPENAI_API_KEY_FILE, and reload.",
    "model": "The upstream has no model {model} for this key: set CHAT_MODEL, VISION_MODEL, EMBEDDING_MODEL and"
    " CHAT_FALLBACK_MODELS to models that the upstream lists; on Azure, to names of deployments.",
    "address": "The upstream answers {status}: OPENAI_BASE_URL (which usually ends in /v1) or the model {model} is wrong.",
    "machine": "This server can open no more connections to the upstream ({code}): raise its limit of open files"
    " (LimitNOFILE in the unit, or ulimit -n), or its memory.",
    "connection": "The upstream cannot be reached ({code}): check OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT, the network,"
    " and that the upstream is running.",
}
_KEY = "owner-fault"
_SHOWN_S = 180.0


class OwnerFaults:
    """A listener of calls: logs at most one ERROR line a minute for each kind of fault, and stores the last for the page /."""

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._throttle = LogThrottle()
        self._may_be_shown = False

    def note(self, record: CallRecord) -> None:
        """Report the fault of a call that failed, or of a model whose fallback answered."""
        is_complete = record.outcome == "complete"
        if is_complete and not self._may_be_shown and len(record.models) < 2:
            return  # the usual case
        if record.outcome == "rejected" and record.upstream_status == 403:
            return  # UserBlocked: not the owner's fault
        failures = [(each.model, *each.failure) for each in record.attempt_log if each.failure is not None]
        if not is_complete:
            failures = [(record.model, record.upstream_status, record.upstream_code)]
        for model, status, code in failures:
            if found := _find_fault(model, status, code or ""):
                self._report(*found, model=model, status=status, code=code, request_id=record.request_id)
                return
        if is_complete and not record.is_cached:
            self._clear(record.models[-1] if record.models else record.model)

    def note_failure(self, error: UpstreamError, *, model: str = "the Batch API") -> None:
        """Report a failure that belongs to no call: one of the Batch API, or of a model in a batch."""
        if isinstance(error, UserBlocked):
            return
        if found := _find_fault(model, error.upstream_status, error.upstream_code or ""):
            self._report(*found, model=model, status=error.upstream_status, code=error.upstream_code)

    def _report(
        self, fault: str, hint: str, *, model: str, status: int | None, code: str | None, request_id: str = ""
    ) -> None:
        if not self._throttle.allows(fault):
            return
        log.error(
            "upstream.owner_fault",
            extra={
                "request_id": request_id or None,
                "fault": fault,
                "model": model,
                "upstream_status": status,
                "upstream_code": code,
                "hint": hint,
            },
        )
        self._may_be_shown = True
        self._state.update(_KEY, lambda _: orjson.dumps([model, hint]), ttl_s=_SHOWN_S)

    def _clear(self, model: str) -> None:
        """Delete the stored fault of a model that has answered. The fault of another model stays."""

        def change(stored: bytes | None) -> bytes | None:
            fault = _read(stored)
            return None if fault is None or fault[0] == model else stored

        self._may_be_shown = self._state.update(_KEY, change, ttl_s=_SHOWN_S) is not None

    def find_hint(self) -> str | None:
        """Return what the owner can do about the last fault in any worker; None if there is none or it has expired."""
        fault = _read(self._state.read(_KEY))
        return fault[1] if fault else None


def _read(stored: bytes | None) -> tuple[str, str] | None:
    """Return the stored model and hint; None if there are none, or if another version of the program wrote them."""
    try:
        model, hint = orjson.loads(stored or b"")
    except ValueError:
        return None
    return model, hint


def _find_fault(model: str, status: int | None, code: str) -> tuple[str, str] | None:
    """Return the kind of fault and a hint; None if the owner can do nothing."""
    for fault, codes, statuses in _FAULTS:
        if code in codes or status in statuses:
            return fault, _HINTS[fault].format(model=model, status=status, code=code)
    return None
