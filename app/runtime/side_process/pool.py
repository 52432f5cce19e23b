"""A few side processes for one function, started when there is work."""

from __future__ import annotations

from app.runtime.side_process.messages import Fields
from app.runtime.side_process.process import ProcessLimits, SideProcess
from app.runtime.side_process.turns import Claim, Turns


class SideProcessPool:
    """Runs jobs of one function in processes that are kept for the next job, for a minute."""

    def __init__(
        self,
        target: str,
        limits: ProcessLimits,
        *,
        size: int = 2,
        max_waiting: int = 32,
        max_wait_s: float = 20.0,
    ) -> None:
        """Start nothing yet.

        Args:
            target: `package.module:function`; see `app/runtime/side_process/child.py`.
            limits: what each process may use.
            size: how many processes run at most.
            max_waiting: how many jobs wait at most; more are refused.
            max_wait_s: how long a job waits at most for its start.
        """
        self._target, self._limits = target, limits
        self._turns = Turns(size, max_waiting=max_waiting, max_wait_s=max_wait_s)
        self._idle: list[SideProcess] = []

    def run(self, fields: Fields, data: bytes | memoryview, claim: Claim) -> tuple[Fields, bytearray]:
        """Return what the function returns for these fields and data.

        Raises:
            PoolBusy: it could not start, or not end, in time; or too many wait.
            JobKilled: it exceeded a limit, or crashed.
            RuntimeError: the function raised an exception, or could not be imported.
            Exception: what the claim's check raised.
        """
        with self._turns.take(claim):
            process = self._take_process()
            answer = process.run(fields, data, claim)
            if process.is_usable:
                self._idle.append(process)
            return answer

    def count_jobs(self) -> tuple[int, int]:
        """Return how many jobs run, and how many wait for their start."""
        return self._turns.count()

    def close(self) -> None:
        """End the idle processes. Those that work end with the worker."""
        while self._idle:
            self._idle.pop().end()

    def _take_process(self) -> SideProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_waiting():
                return process
            process.end()
        return SideProcess(self._target, self._limits)
