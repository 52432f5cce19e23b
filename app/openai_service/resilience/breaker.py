"""CircuitBreaker: leaves a model alone that failed too often in a row, and has one call try whether it is back."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import orjson

from app.config import BreakerSettings
from app.openai_service.errors import CircuitOpen

log = logging.getLogger(__name__)

# How long what is known of a model is kept after the last change.
_KEEP_S = 3600.0
# What a caller is told while somebody else's probe is on its way.
_PROBE_RETRY_AFTER_S = 1.0
# How far the clocks of two machines, or of one before and after it was set, may differ without a word.
_CLOCK_SLACK_S = 1.0


class KeyValueStore(Protocol):
    """Where the state is kept, for all processes: see app/shared_state."""

    def read(self, key: str) -> bytes | None: ...

    def update(
        self, key: str, change: Callable[[bytes | None], bytes | None], *, ttl_s: float
    ) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class _State:
    """One model's circuit: closed while `open_until` is 0.

    Attributes:
        failures: in a row, while it is closed.
        open_until, probe_until: in seconds of time.time(), which all machines share.
        probe: whose probe is on its way until then, which is `probe_lease_s` after it began.
        openings: how often it has opened so far, which tells calls from before an opening from later ones.
    """

    failures: int = 0
    open_until: float = 0.0
    probe: str = ""
    probe_until: float = 0.0
    probe_lease_s: float = 0.0
    openings: int = 0


_CLOSED = _State()


class CircuitBreaker:
    """Closed, open, half-open, for each model of one upstream, shared by all processes.

    The state is changed in a moment before and after a call; nothing is held during it.
    """

    def __init__(self, store: KeyValueStore, settings: BreakerSettings, *, upstream: str) -> None:
        self._store = store
        self._prefix = f"breaker:{hashlib.sha256(upstream.encode()).hexdigest()[:12]}:"
        self._failures = settings.failures
        self._cooldown_s = settings.cooldown_s

    def admit(self, model: str, *, lease_s: float) -> Permit:
        """Let one attempt through; tell the permit how it went.

        Args:
            lease_s: after which the attempt must have ended, should its process die and never tell.
        Raises:
            CircuitOpen: this model is left alone for now.
        """
        key = self._prefix + model
        state = _decode(self._store.read(key))
        if not state.open_until:
            return Permit(self, model, state.openings)
        self._refuse_while_open(state)

        probe = uuid.uuid4().hex

        def claim(value: bytes | None) -> bytes | None:
            state = _decode(value)
            if not state.open_until or self._is_open(state) or _is_probed(state):
                return value
            return _encode(replace(state, probe=probe, probe_until=time.time() + lease_s, probe_lease_s=lease_s))

        state = _decode(self._store.update(key, claim, ttl_s=self._ttl_s))
        if state.open_until and state.probe != probe:
            self._refuse_while_open(state)
            raise CircuitOpen(retry_after_s=_PROBE_RETRY_AFTER_S)
        return Permit(self, model, state.openings, probe=probe if state.open_until else "")

    def is_open(self, model: str) -> bool:
        """Whether admit() would refuse the model, unless it is time for a probe."""
        return self._is_open(_decode(self._store.read(self._prefix + model)))

    def _refuse_while_open(self, state: _State) -> None:
        if self._is_open(state):
            raise CircuitOpen(retry_after_s=min(state.open_until - time.time(), self._cooldown_s))

    def _is_open(self, state: _State) -> bool:
        return _is_ahead(state.open_until, self._cooldown_s)

    @property
    def _ttl_s(self) -> float:
        return _KEEP_S + self._cooldown_s

    def _change(self, permit: Permit, change: Callable[[_State], _State]) -> None:
        """Change the state, unless the circuit has opened, or another has probed it, since the permit was given."""
        before = after = _CLOSED

        def apply(value: bytes | None) -> bytes | None:
            nonlocal before, after
            before = after = _decode(value)
            is_current = before.probe == permit.probe if permit.probe else not before.open_until
            if not is_current or before.openings != permit.openings:
                return value
            after = change(before)
            return _encode(after)

        self._store.update(self._prefix + permit.model, apply, ttl_s=self._ttl_s)
        if bool(after.open_until) != bool(before.open_until):
            event = "breaker.opened" if after.open_until else "breaker.closed"
            log.warning(event, extra={"model": permit.model})

    def _succeeded(self, permit: Permit) -> None:
        if permit.probe or _decode(self._store.read(self._prefix + permit.model)).failures:
            self._change(permit, lambda state: _State(openings=state.openings))

    def _failed(self, permit: Permit) -> None:
        def count(state: _State) -> _State:
            failures = state.failures + 1
            if not permit.probe and failures < self._failures:
                return replace(state, failures=failures)
            return _State(open_until=time.time() + self._cooldown_s, openings=state.openings + 1)

        self._change(permit, count)

    def _released(self, permit: Permit) -> None:
        if permit.probe:
            self._change(permit, lambda state: replace(state, probe=""))


class Permit:
    """One attempt that was let through. The first of its three ends counts."""

    def __init__(self, breaker: CircuitBreaker, model: str, openings: int, *, probe: str = "") -> None:
        self.model = model
        self.openings = openings
        self.probe = probe
        self._breaker: CircuitBreaker | None = breaker

    def succeeded(self) -> None:
        """The model answered."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._succeeded(self)

    def failed(self) -> None:
        """The model did not, and it is its own fault."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._failed(self)

    def release(self) -> None:
        """The attempt says nothing about the model: the caller was at fault, or left."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._released(self)


def _is_probed(state: _State) -> bool:
    return bool(state.probe) and _is_ahead(state.probe_until, state.probe_lease_s)


def _is_ahead(until: float, length_s: float) -> bool:
    """Whether a span of time has not ended yet: not for longer than it lasts, whatever somebody did to the clock."""
    return 0 < until - time.time() <= length_s + _CLOCK_SLACK_S


def _decode(value: bytes | None) -> _State:
    """The state; closed where there is none, or one of another version of this program."""
    if not value:
        return _CLOSED
    try:
        state = _State(**orjson.loads(value))
    except (ValueError, TypeError):
        return _CLOSED
    numbers = (state.failures, state.open_until, state.probe_until, state.probe_lease_s, state.openings)
    is_ours = isinstance(state.probe, str) and all(isinstance(number, int | float) for number in numbers)
    return state if is_ours else _CLOSED


def _encode(state: _State) -> bytes:
    return orjson.dumps(asdict(state))
