"""A circuit breaker for each operation of each model: it opens after several failures in a row, then lets one call probe.

Failures with the same cause count once, however often that request is sent. Failures of one caller open the circuit for
that caller only. So if a probe fails and its request may be at fault, another caller probes before the circuit reopens.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Protocol

import orjson

from app.config import BreakerSettings
from app.openai_service.errors import CircuitOpen
from app.runtime import clock

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
        """Return the same, but perhaps without the latest changes of other processes."""

    def update(self, key: str, change: Callable[[bytes | None], bytes | None], *, ttl_s: float) -> bytes | None:
        """Replace a value atomically with the result of `change`, and return the new value."""


@dataclass(frozen=True, slots=True)
class _State:
    """One circuit: closed while `open_until` is 0.

    Attributes:
        failures: the failures in a row while the circuit is closed; after that, the failure of the last probe. Each is
            the caller, a colon and the cause; ":" if neither the caller nor the request can be the cause.
        only_for: the caller of all failures that opened it, the only one for whom it is open; "" if open for all.
        open_until, probe_until: in seconds of clock.now(), which all machines share.
        probe: the id of the probe in progress, if any; it expires at `probe_until`.
        probe_lease_s: the seconds from the probe's start to `probe_until`.
        openings: how often it has opened, to ignore results of calls that began before the last opening.
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
    """The circuits of one upstream, each closed, open or half-open, shared by all processes.

    The state is locked only during an update before or after a call, never during the call.
    """

    def __init__(self, store: KeyValueStore, settings: BreakerSettings, *, upstream: str) -> None:
        self._store = store
        self._prefix = f"breaker:{hashlib.sha256(upstream.encode()).hexdigest()[:12]}:"
        self._failures = settings.failures
        self._cooldown_s = settings.cooldown_s

    def admit(self, circuit: str, *, lease_s: float, caller: str = "") -> Permit:
        """Return a permit for one attempt. Report the result of the attempt to the permit.

        Args:
            circuit: the operation and the model.
            lease_s: a probe that reports no result in this time counts as lost with its process.
            caller: the user of the call; "" if unknown.

        Raises:
            CircuitOpen: the circuit is open for this caller, or half-open with a probe in progress.
        """
        key = self._prefix + circuit
        state = self._read_recent(key)
        if not state.open_until:
            return Permit(self, circuit, state.openings, caller)
        caller_hash = _hash(caller)
        if not _applies_to(state, caller_hash):
            return Permit(self, circuit, state.openings, caller)
        self._refuse_while_open(state)

        probe = uuid.uuid4().hex

        def claim(value: bytes | None) -> bytes | None:
            state = _decode(value)
            if not _applies_to(state, caller_hash) or self._is_open(state) or _is_probed(state):
                return value
            if self._has_probed(state, caller_hash):
                return value
            return _encode(replace(state, probe=probe, probe_until=clock.now() + lease_s, probe_lease_s=lease_s))

        state = _decode(self._store.update(key, claim, ttl_s=self._ttl_s))
        if _applies_to(state, caller_hash) and state.probe != probe:
            self._refuse_while_open(state)
            raise CircuitOpen(retry_after_s=_PROBE_RETRY_AFTER_S)
        return Permit(self, circuit, state.openings, caller, probe=probe if state.probe == probe else "")

    def is_open(self, circuit: str, *, caller: str = "") -> bool:
        """Return whether the circuit is open for a caller, and not due for a probe yet."""
        state = _decode(self._store.read(self._prefix + circuit))
        return self._is_open(state) and _applies_to(state, _hash(caller))

    def read_state(self, circuit: str) -> CircuitState:
        """Return the state of a circuit. It is open for one caller only if that caller caused all failures."""
        state = _decode(self._store.read(self._prefix + circuit))
        if not state.open_until:
            return "closed"
        if state.only_for:
            return "open_for_one_caller"
        return "open" if self._is_open(state) else "half_open"

    def _read_recent(self, key: str) -> _State:
        """Return a state, which may be slightly out of date in the usual case that it is closed without failures."""
        value = self._store.read_recent(key)
        state = _decode(value) if value else _CLOSED
        return _decode(self._store.read(key)) if state.failures or state.open_until else state

    def _refuse_while_open(self, state: _State) -> None:
        if self._is_open(state):
            raise CircuitOpen(retry_after_s=min(state.open_until - clock.now(), self._cooldown_s))

    def _is_open(self, state: _State) -> bool:
        return _is_ahead(state.open_until, self._cooldown_s)

    def _has_probed(self, state: _State, caller_hash: str) -> bool:
        """Return whether a caller's probe has just failed. For the length of a cooldown, only other callers may probe."""
        callers = {failure.partition(":")[0] for failure in state.failures}
        return caller_hash in callers and _is_ahead(state.open_until + self._cooldown_s, self._cooldown_s)

    @property
    def _ttl_s(self) -> float:
        return _STATE_TTL_S + self._cooldown_s

    def _change(self, permit: Permit, change: Callable[[_State], _State]) -> None:
        """Change the state, unless another call has opened or probed the circuit since the permit was issued."""
        before = after = _CLOSED

        def apply(value: bytes | None) -> bytes | None:
            nonlocal before, after
            before = after = _decode(value)
            if permit.probe:
                is_current = before.probe == permit.probe
            else:
                is_current = not _applies_to(before, _hash(permit.caller))
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

    def _record_success(self, permit: Permit) -> None:
        if permit.probe:
            needs_reset = True
        else:
            state = self._read_recent(self._prefix + permit.circuit)
            needs_reset = bool(state.failures or state.only_for)
        if needs_reset:
            self._change(permit, lambda state: _State(openings=state.openings))

    def _record_failure(self, permit: Permit, cause: str) -> None:
        caller = _hash(permit.caller) if cause else ""
        failure = f"{caller}:{_hash(cause)}"

        def count(state: _State) -> _State:
            if permit.probe:
                if caller and not state.only_for and not state.failures:
                    return replace(state, probe="", open_until=clock.now(), failures=(failure,))
                return self._open(state, only_for=state.only_for)
            if cause and failure in state.failures:
                return state
            failures = (*state.failures, failure)
            if state.only_for:  # open for one caller, and now another caller's request has failed
                return self._open(state, only_for="")
            if len(failures) < self._failures:
                return replace(state, failures=failures)
            callers = {failure.partition(":")[0] for failure in failures}
            return self._open(state, only_for=callers.pop() if len(callers) == 1 else "")

        self._change(permit, count)

    def _open(self, state: _State, *, only_for: str) -> _State:
        return _State(open_until=clock.now() + self._cooldown_s, openings=state.openings + 1, only_for=only_for)

    def _release(self, permit: Permit) -> None:
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
            breaker._record_success(self)

    def failed(self, cause: str = "") -> None:
        """Report that the model failed.

        Args:
            cause: identifies the request and its failure, if the request may be at fault; "" if it cannot be.
        """
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._record_failure(self, cause)

    def release(self) -> None:
        """Report that the attempt says nothing about the model: the request was at fault, or the client disconnected."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._release(self)


def _applies_to(state: _State, caller_hash: str) -> bool:
    """Return whether a circuit is open or half-open for a caller."""
    return bool(state.open_until) and state.only_for in ("", caller_hash)


def _hash(text: str) -> str:
    """Return a short hash of a caller or a cause, so that shared state stays small and contains neither in plain text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() if text else ""


def _is_probed(state: _State) -> bool:
    return bool(state.probe) and _is_ahead(state.probe_until, state.probe_lease_s)


def _is_ahead(until: float, length_s: float) -> bool:
    """Return whether `until` is in the future, by at most `length_s`.

    If it is further away, the clock was set back meanwhile, and the period counts as ended.
    """
    return 0 < until - clock.now() <= length_s + _CLOCK_SLACK_S


def _decode(value: bytes | None) -> _State:
    """Parse a stored state. Return a closed circuit for None, or for a state of another version of the program."""
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
