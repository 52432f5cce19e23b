"""State that all worker processes share: in a file on this machine, or in Redis for several machines.

It may be lost without harm. While its store is unavailable, each process continues with its own memory. Only records
(`records.py`) have no such fallback: their methods raise DatabaseUnavailable.

    interface.py          SharedState and Lease, the protocols that the rest of the application uses
    factory.py            open_state, open_cache, open_records: open the configured store
    resilient.py          ResilientState: shared state over a store, with a fallback to memory
      coalescing.py         Coalescer: concurrent calls about one key share one round trip
      updates.py            Updates: any change of a value, by compare-and-swap
      leases.py             Leases: the leases that this process holds
    memory.py             MemoryState: the fallback, and shared state for tests
    cache.py              SharedCache: large values in a store of their own
    records.py            SharedRecords: values without a fallback, for decisions that need the true value
    store.py              Store: the atomic operations of a store, as a protocol
      sqlite_store.py       SqliteStore, on sqlite_file.py
      redis_store.py        RedisStore, on redis_connection.py
    replays/              stored answers, for repeated requests and resumed streams
"""

from app.storage.shared_state.cache import SharedCache
from app.storage.shared_state.factory import open_cache, open_records, open_state
from app.storage.shared_state.interface import Lease, LeaseRefused, SharedState
from app.storage.shared_state.memory import MemoryState
from app.storage.shared_state.records import SharedRecords

__all__ = [
    "Lease",
    "LeaseRefused",
    "MemoryState",
    "SharedCache",
    "SharedRecords",
    "SharedState",
    "open_cache",
    "open_records",
    "open_state",
]
