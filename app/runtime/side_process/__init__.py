"""Run what cannot be bounded in time or memory in processes of its own, which have limits and may be killed.

A process serves one function, of any module of `app`. It is started when there is work, and ends by itself soon after.

- `pool`: `SideProcessPool`, a few processes for one function, and a fair queue before them.
- `turns`: whose turn it is, if several wait.
- `process`: `SideProcess`, one process seen from here: start it, give it a job, kill it.
- `child`: the program that runs in it.
- `messages`: the format in which both talk.
"""

from app.runtime.side_process.pool import SideProcessPool
from app.runtime.side_process.process import JobKilled, ProcessLimits
from app.runtime.side_process.turns import Claim, PoolBusy

__all__ = ["Claim", "JobKilled", "PoolBusy", "ProcessLimits", "SideProcessPool"]
