"""State that all worker processes share: in a file of this machine, or in Redis for several machines.

It may be lost without harm and is never waited for: while its store is away, each process goes on by itself.

    ResilientState                  stored.py: what the rest of the application sees
      StoreGuard                 app/runtime/store_guard.py: leaves a store that failed alone for a second
        Batches                  batches.py: what is asked at the same time shares one round trip
          Updates                updates.py: from compare-and-set to any change
          Leases                 leases.py: how many this process holds
            SqliteStore          sqlite_store.py on sqlite_file.py
            RedisStore           redis_store.py on redis_connection.py
      MemoryState                memory.py: the stand-in while the store is away

    SharedCache                  cache.py: large values, over a store of their own, with a StoreGuard and nothing else
"""

from app.shared_state.cache import SharedCache
from app.shared_state.factory import open_cache, open_state
from app.shared_state.interface import Lease, SharedState
from app.shared_state.memory import MemoryState

__all__ = ["Lease", "MemoryState", "SharedCache", "SharedState", "open_cache", "open_state"]
