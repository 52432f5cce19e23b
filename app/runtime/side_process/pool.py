"""Run jobs in a pool of side processes, which are started when there is work."""

from __future__ import annotations

from app.runtime.side_process.messages import Fields
from app.runtime.side_process.process import ProcessLimits, SideProcess
from app.runtime.side_process.turns import Claim, Turns


class SideProcessPool:
    """Runs jobs of one function in processes that wait a minute for the next job."""

    def __init__(
        self,
        target: str,
        limits: ProcessLimits,
        *,
        size: int = 2,
        max_waiting: int = 32,
        max_wait_s: float = 20.0,
    ) -> None:
        """Create an empty pool; no process is started yet.

        Args:
            target: `package.module:function`; see `app/runtime/side_process/child.py`.
            limits: the limits of each process.
            size: the maximum number of processes.
            max_waiting: the maximum number of waiting jobs; further ones are refused.
            max_wait_s: how long a job may wait for its start.
        """
        self._target, self._limits = target, limits
        self._turns = Turns(size, max_waiting=max_waiting, max_wait_s=max_wait_s)
        self._idle: list[SideProcess] = []

    def run(self, fields: Fields, data: bytes | memoryview, claim: Claim) -> tuple[Fields, bytearray]:
        """Call the function with fields and data in a side process, and return its result.

        Raises:
            PoolBusy: the job could not start or end in time, or too many jobs wait.
            JobKilled: the job exceeded a limit, or crashed its process.
            RuntimeError: the function raised an exception, or could not be imported.
            Exception: the claim's check raised it.
        """
        with self._turns.take(claim):
            process = self._take_process()
            answer = process.run(fields, data, claim)
            if process.is_usable:
                self._idle.append(process)
            return answer

    def count_jobs(self) -> tuple[int, int]:
        """Return the number of running jobs, and that of waiting ones."""
        return self._turns.count()

    def close(self) -> None:
        """Kill the idle processes. Busy ones end with the worker."""
        while self._idle:
            self._idle.pop().end()

    def _take_process(self) -> SideProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_waiting():
                return process
            process.end()
        return SideProcess(self._target, self._limits)
