"""Run work that cannot be bounded in time or memory in separate processes, which have limits and can be killed.

A process serves one function of any module of `app`. It is started when there is work, and exits after an idle minute.

- `pool`: `SideProcessPool`, a few processes for one function, with a fair queue.
- `turns`: the queue, which decides whose turn it is.
- `process`: `SideProcess`, the worker's side: start a process, send it a job, kill it.
- `child`: the program that runs in the process.
- `messages`: the format of the messages between both.
"""

from app.runtime.side_process.pool import SideProcessPool
from app.runtime.side_process.process import JobKilled, ProcessLimits
from app.runtime.side_process.turns import Claim, PoolBusy

__all__ = ["Claim", "JobKilled", "PoolBusy", "ProcessLimits", "SideProcessPool"]
