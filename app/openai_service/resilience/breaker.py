"""A circuit breaker for each operation of each model: opens after too many failures in a row, then lets one call probe it.

What one request causes counts once, however often it is sent; what one caller causes closes nobody else out. So a probe
whose request may be at fault itself is followed by one of another caller before the circuit opens again.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Protocol

import orjson

from app.config import BreakerSettings
from app.openai_service.errors import CircuitOpen

log = logging.getLogger(__name__)

# How long a circuit's state is stored after its last change, besides the cooldown.
_STATE_TTL_S = 3600.0
# Retry-After while another call's probe is in progress.
_PROBE_RETRY_AFTER_S = 1.0
# Accepted difference between the clocks of two machines, or of one machine before and after its clock was set.
_CLOCK_SLACK_S = 1.0


CircuitState = Literal["closed", "half_open", "open", "open_for_one_caller"]


class KeyValueStore(Protocol):
    """The store that all processes share: see app/storage/shared_state."""

    def read(self, key: str) -> bytes | None:
        """Return the value of a key, if any."""

    def read_recent(self, key: str) -> bytes | None:
        """Return the same, but what other processes have changed perhaps a moment late."""

    def update(self, key: str, change: Callable[[bytes | None], bytes | None], *, ttl_s: float) -> bytes | None:
        """Replace a value by what `change` makes of it, atomically, and return the new one."""


@dataclass(frozen=True, slots=True)
class _State:
    """One circuit: closed while `open_until` is 0.

    Attributes:
        failures: in a row, while it is closed; once it was open, that of the last probe. Each is its caller, a colon,
            and its cause; ":" if neither the caller nor the request can be the cause.
        only_for: the caller of all failures that opened it, to whom alone it is open; "" if it is open to all.
        open_until, probe_until: in seconds of time.time(), which all machines share.
        probe: the id of the probe in progress, if any; it is void after `probe_until`.
        probe_lease_s: from the probe's start to `probe_until`.
        openings: how often it has opened, so that results of calls from before an opening are ignored.
    """

    failures: Sequence[str] = ()
    only_for: str = ""
    open_until: float = 0.0
    probe: str = ""
    probe_until: float = 0.0
    probe_lease_s: float = 0.0
    openings: int = 0


_CLOSED = _State()


class CircuitBreaker:
    """The circuits of one upstream: closed, open or half-open, shared by all processes.

    The state is locked only while it is changed, before and after a call, never during the call.
    """

    def __init__(self, store: KeyValueStore, settings: BreakerSettings, *, upstream: str) -> None:
        self._store = store
        self._prefix = f"breaker:{hashlib.sha256(upstream.encode()).hexdigest()[:12]}:"
        self._failures = settings.failures
        self._cooldown_s = settings.cooldown_s

    def admit(self, circuit: str, *, lease_s: float, caller: str = "") -> Permit:
        """Return a permit for one attempt, which reports its result to the permit.

        Args:
            circuit: the operation and the model.
            lease_s: after this time an attempt that reported nothing counts as lost with its process.
            caller: who sends the request; "" if that is unknown.

        Raises:
            CircuitOpen: the circuit is open to this caller, or half-open with a probe in progress.
        """
        key = self._prefix + circuit
        state = self._look(key)
        if not state.open_until:
            return Permit(self, circuit, state.openings, caller)
        caller_hash = _shorten(caller)
        if not _concerns(state, caller_hash):
            return Permit(self, circuit, state.openings, caller)
        self._refuse_while_open(state)

        probe = uuid.uuid4().hex

        def claim(value: bytes | None) -> bytes | None:
            state = _decode(value)
            if not _concerns(state, caller_hash) or self._is_open(state) or _is_probed(state):
                return value
            if self._has_probed(state, caller_hash):
                return value
            return _encode(replace(state, probe=probe, probe_until=time.time() + lease_s, probe_lease_s=lease_s))

        state = _decode(self._store.update(key, claim, ttl_s=self._ttl_s))
        if _concerns(state, caller_hash) and state.probe != probe:
            self._refuse_while_open(state)
            raise CircuitOpen(retry_after_s=_PROBE_RETRY_AFTER_S)
        return Permit(self, circuit, state.openings, caller, probe=probe if state.probe == probe else "")

    def is_open(self, circuit: str, *, caller: str = "") -> bool:
        """Return whether the circuit is open to a caller, and not yet due for a probe."""
        state = _decode(self._store.read(self._prefix + circuit))
        return self._is_open(state) and _concerns(state, _shorten(caller))

    def read_state(self, circuit: str) -> CircuitState:
        """Return the state of a circuit. If one caller alone caused its failures, it is open to them alone."""
        state = _decode(self._store.read(self._prefix + circuit))
        if not state.open_until:
            return "closed"
        if state.only_for:
            return "open_for_one_caller"
        return "open" if self._is_open(state) else "half_open"

    def _look(self, key: str) -> _State:
        """Return a state that may be a moment old if it is closed without failures, as nearly always."""
        value = self._store.read_recent(key)
        state = _decode(value) if value else _CLOSED
        return _decode(self._store.read(key)) if state.failures or state.open_until else state

    def _refuse_while_open(self, state: _State) -> None:
        if self._is_open(state):
            raise CircuitOpen(retry_after_s=min(state.open_until - time.time(), self._cooldown_s))

    def _is_open(self, state: _State) -> bool:
        return _is_ahead(state.open_until, self._cooldown_s)

    def _has_probed(self, state: _State, caller_hash: str) -> bool:
        """Return whether a caller has just probed in vain: for as long as a cooldown it is the turn of others."""
        callers = {failure.partition(":")[0] for failure in state.failures}
        return caller_hash in callers and _is_ahead(state.open_until + self._cooldown_s, self._cooldown_s)

    @property
    def _ttl_s(self) -> float:
        return _STATE_TTL_S + self._cooldown_s

    def _change(self, permit: Permit, change: Callable[[_State], _State]) -> None:
        """Change the state, unless the circuit has opened or been probed by another call since the permit was given."""
        before = after = _CLOSED

        def apply(value: bytes | None) -> bytes | None:
            nonlocal before, after
            before = after = _decode(value)
            if permit.probe:
                is_current = before.probe == permit.probe
            else:
                is_current = not _concerns(before, _shorten(permit.caller))
            if not is_current or before.openings != permit.openings:
                return value
            after = change(before)
            return _encode(after)

        self._store.update(self._prefix + permit.circuit, apply, ttl_s=self._ttl_s)
        if bool(after.open_until) != bool(before.open_until) or after.only_for != before.only_for:
            event = "breaker.opened" if after.open_until else "breaker.closed"
            operation, _, model = permit.circuit.partition(":")
            fields = {
                "operation": operation,
                "model": model or None,
                "only_for_one_caller": bool(after.only_for) or None,
            }
            log.warning(event, extra=fields)

    def _succeeded(self, permit: Permit) -> None:
        if permit.probe:
            is_news = True
        else:
            state = self._look(self._prefix + permit.circuit)
            is_news = bool(state.failures or state.only_for)
        if is_news:
            self._change(permit, lambda state: _State(openings=state.openings))

    def _failed(self, permit: Permit, cause: str) -> None:
        caller = _shorten(permit.caller) if cause else ""
        failure = f"{caller}:{_shorten(cause)}"

        def count(state: _State) -> _State:
            if permit.probe:
                if caller and not state.only_for and not state.failures:
                    return replace(state, probe="", open_until=time.time(), failures=(failure,))
                return self._opened(state, only_for=state.only_for)
            if cause and failure in state.failures:
                return state
            failures = (*state.failures, failure)
            if state.only_for:  # this is another caller, whom it fails as well
                return self._opened(state, only_for="")
            if len(failures) < self._failures:
                return replace(state, failures=failures)
            callers = {failure.partition(":")[0] for failure in failures}
            return self._opened(state, only_for=callers.pop() if len(callers) == 1 else "")

        self._change(permit, count)

    def _opened(self, state: _State, *, only_for: str) -> _State:
        return _State(open_until=time.time() + self._cooldown_s, openings=state.openings + 1, only_for=only_for)

    def _released(self, permit: Permit) -> None:
        if permit.probe:
            self._change(permit, lambda state: replace(state, probe=""))


class Permit:
    """The right to make one attempt. Only the first result reported to it counts."""

    def __init__(
        self, breaker: CircuitBreaker, circuit: str, openings: int, caller: str = "", *, probe: str = ""
    ) -> None:
        self.circuit = circuit
        self.caller = caller
        self.openings = openings
        self.probe = probe
        self._breaker: CircuitBreaker | None = breaker

    def succeeded(self) -> None:
        """Report that the model answered."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._succeeded(self)

    def failed(self, cause: str = "") -> None:
        """Report that the model failed.

        Args:
            cause: the request and how it failed, as it may be at fault itself; "" if it cannot be.
        """
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._failed(self, cause)

    def release(self) -> None:
        """Report that the attempt says nothing about the model: the caller was at fault, or left."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._released(self)


def _concerns(state: _State, caller_hash: str) -> bool:
    """Return whether a circuit is open, or half-open, to a caller."""
    return bool(state.open_until) and state.only_for in ("", caller_hash)


def _shorten(text: str) -> str:
    """Return a hash of who called, or what for: neither is to be read in shared state, nor to take much of it."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() if text else ""


def _is_probed(state: _State) -> bool:
    return bool(state.probe) and _is_ahead(state.probe_until, state.probe_lease_s)


def _is_ahead(until: float, length_s: float) -> bool:
    """Return whether a moment is in the future, and no further than a span that ends then can be long.

    If the clock was set back meanwhile, the span counts as ended.
    """
    return 0 < until - time.time() <= length_s + _CLOCK_SLACK_S


def _decode(value: bytes | None) -> _State:
    """Parse a stored state. None, or one that another version of the program wrote, is a closed circuit."""
    if not value:
        return _CLOSED
    try:
        state = _State(**orjson.loads(value))
    except (ValueError, TypeError):
        return _CLOSED
    if not isinstance(state.failures, list | tuple):
        return _CLOSED
    numbers = (state.open_until, state.probe_until, state.probe_lease_s, state.openings)
    texts = (state.probe, state.only_for, *state.failures)
    is_ours = all(isinstance(number, int | float) for number in numbers) and all(
        isinstance(text, str) for text in texts
    )
    return state if is_ours else _CLOSED


def _encode(state: _State) -> bytes:
    return orjson.dumps(asdict(state))
